package callback

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the table of docs/identity.md from the code")

func TestEveryCommandIsInTheTableOnce(t *testing.T) {
	t.Parallel()
	var names []CommandName
	for _, p := range Permissions {
		names = append(names, p.Command)
		require.NotEmpty(t, p.Who)
		require.NotEmpty(t, p.Else)
		require.NotEmpty(t, p.words)
	}
	require.Equal(t, CommandNames, names)
	openFloor(t, supervisorCallback()).refuses(CodeForbidden, "R24", sup1, unheardOf{}) // what is not in the table is nobody's
}

// unheardOf is a command that the table does not have.
type unheardOf struct{ Note }

func (unheardOf) Name() CommandName { return "unheard-of" }

// TestTheTableOfCommandsIsTheCode holds docs/identity.md to Permissions.
func TestTheTableOfCommandsIsTheCode(t *testing.T) {
	t.Parallel()
	words := func(texts []string) string {
		if len(texts) == 0 {
			return "–"
		}
		return strings.Join(texts, ", ")
	}
	var table strings.Builder
	table.WriteString("| command | may be given by | others are refused with | needs, in this order |\n|---|---|---|---|\n")
	for _, p := range Permissions {
		var who, needs []string
		for _, r := range p.Who {
			who = append(who, string(r))
		}
		for _, n := range p.Needs {
			needs = append(needs, string(n))
		}
		rule := string(p.Rule)
		if rule == "" {
			rule = "R05, R07"
		}
		fmt.Fprintf(&table, "| `%s` | %s | `%s` (%s) | %s |\n", p.Command, words(who), p.Else, rule, words(needs))
	}
	const file = "../docs/identity.md"
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(page), "<!-- commands -->\n")
	require.True(t, found)
	have, after, found := strings.Cut(rest, "<!-- end -->")
	require.True(t, found)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(before+"<!-- commands -->\n"+table.String()+"<!-- end -->"+after), 0o600))
		return
	}
	require.Equal(t, table.String(), have, "run go test ./callback -run Table -update")
}
