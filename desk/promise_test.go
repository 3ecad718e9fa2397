package desk_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// R21: who hands a callback over finds what is known of it in the form, nothing of it in the address.
func TestR21_HandedOverWithWhatIsKnown(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise(func(b object) {
		b["customer"] = object{"ref": "crm-7", "name": "Asha Rao", "phone": "+919876543210", "email": "asha@example.com", "time_zone": "Asia/Kolkata"}
		b["source"], b["lob"] = object{"system": "freshdesk", "ref": "48213", "url": "https://example.com/t/48213"}, "flights"
	})
	require.Contains(t, h.page("sup1", "/callbacks/"+id).body, `href="/new?parent=`+id+`"`)
	s := h.page("sup1", "/new?parent="+id).body
	for name, value := range map[string]string{
		"customer.ref": "crm-7", "customer.name": "Asha Rao", "customer.phone": "&#43;919876543210", "customer.email": "asha@example.com", "customer.time_zone": "Asia/Kolkata",
		"source.system": "freshdesk", "source.ref": "48213", "source.url": "https://example.com/t/48213", "lob": "flights", "parent": id,
	} {
		require.Contains(t, s, `name="`+name+`" value="`+value+`"`)
	}
	require.Contains(t, s, `<option value="tier3-escalation" selected>`)
	require.NotContains(t, h.page("sup1", "/new").body, id)
}
