package servicebench

import (
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/callback"
)

const header = "source,exception_id,exception_type,status,service_job_id,crm_number,user_id,created_at,updated_at,comment,customer_name,customer_phones,customer_preferred_contact_method,customer_time_zone\n"

func TestR14_AFileIsReadRowByRow(t *testing.T) {
	t.Parallel()
	kolkata, err := time.LoadLocation("Asia/Kolkata")
	require.NoError(t, err)
	names, rows, err := read([]byte("\ufeff"+header+
		"servicebench,EX-1,Customer Callback,Open,JOB-1,CRM-1,BPO1-7,2026-11-23T12:00:00Z,2026-11-23T12:00:00Z,\"Said \"\"now\"\",\nthen rang off\",Asha Rao,+919876543210;09876543211,phone,Asia/Kolkata\r\n"+
		"\n"+
		"servicebench,EX-2,Customer Callback,Complete,,,,,2026-11-23 17:30,,,,,\n"), kolkata)
	require.NoError(t, err)
	require.Len(t, names, 14)
	require.Len(t, rows, 2)
	require.Empty(t, rows[0].Wrong)
	require.Equal(t, 2, rows[0].Line)
	require.Equal(t, "Said \"now\",\nthen rang off", rows[0].X.Comment)
	require.Equal(t, []string{"+919876543210", "09876543211"}, rows[0].X.Customer.Phones)
	require.Equal(t, callback.At(noon), rows[0].X.UpdatedAt)
	require.Empty(t, rows[1].Wrong)
	require.Equal(t, 5, rows[1].Line)
	require.Equal(t, Complete, rows[1].X.Status)
	require.Equal(t, callback.At(noon), rows[1].X.UpdatedAt, "17:30 in Kolkata")

	for _, separator := range []string{";", "\t"} {
		_, rows, err := read([]byte(strings.ReplaceAll(header, ",", separator)+
			strings.ReplaceAll("servicebench,EX-1,Customer Callback,Open,,,,,2026-11-23T12:00:00Z,,Asha,\"1;2\",,\n", ",", separator)), nil)
		require.NoError(t, err)
		require.Empty(t, rows[0].Wrong)
		require.Equal(t, []string{"1", "2"}, rows[0].X.Customer.Phones)
	}
}

func TestR14_ABadRowIsRejectedWithItsReasonAndTheGoodOnesAreKept(t *testing.T) {
	t.Parallel()
	good := "servicebench,EX-9,Customer Callback,Open,,,,,2026-11-23T12:00:00Z,,Asha,1,,\n"
	_, rows, err := read([]byte(header+good+
		"servicebench,EX-1,too,few\n"+
		"servicebench,EX-2,Customer Callback,Whatever,,,,,2026-11-23T12:00:00Z,,Asha,1,,\n"+
		"servicebench,EX-3,Customer Callback,Open,,,,,2026-11-23 12:00,,Asha,1,,\n"+
		"servicebench,EX-4,Customer Callback,Open,,,,,yesterday,,Asha,1,,\n"+
		"servicebench,EX-5,Customer Callback,Open,,,,,2026-11-23T12:00:00Z,,Asha,1,,Nowhere/At all\n"+
		"servicebench,EX-6,a \"quote\" within,Open,,,,,2026-11-23T12:00:00Z,,Asha,1,,\n"+
		"servicebench,,Customer Callback,Open,,,,,2026-11-23T12:00:00Z,,Asha,1,,\n"+
		"servicebench,EX-7,Customer Callback,Open,,,,,2026-11-23T12:00:00Z,caf\xe9,Asha,1,,\n"+
		good+
		"servicebench,EX-8,\"no end,Open,,,,,2026-11-23T12:00:00Z,,Asha,1,,\n"+
		good), nil)
	require.NoError(t, err)
	wrong := map[int]string{}
	goods := 0
	for _, one := range rows {
		if one.Wrong == "" {
			goods++
			continue
		}
		require.Nil(t, one.X)
		wrong[one.Line] = one.Wrong
	}
	require.Equal(t, 2, goods)
	require.Equal(t, map[int]string{
		3:  "expected 14 columns, and there are 4",
		4:  "status: expected one of Open, In Progress, Pending, Follow Up, Complete",
		5:  "updated_at: expected a time with an offset, since no time_zone is configured",
		6:  `updated_at: expected a time like "2026-11-22T10:00:00Z"`,
		7:  "customer_time_zone: expected a time zone of the IANA database, like Asia/Kolkata",
		8:  "the quotes do not match",
		9:  "exception_id: is required",
		10: "comment: expected UTF-8",
		12: "the quotes do not match",
	}, wrong)
	require.Contains(t, rows[len(rows)-1].Raw, "EX-9", "what a missing quote has swallowed is there to be put right")
}

func TestR14_ARejectFileCanBePutRightAndDroppedAgain(t *testing.T) {
	t.Parallel()
	names, rows, err := read([]byte(header+"servicebench,EX-2,Customer Callback,Whatever,,,,,2026-11-23T12:00:00Z,\"a,b\",Asha,1,,\n"), nil)
	require.NoError(t, err)
	bad, err := rejects(names, rows)
	require.NoError(t, err)
	require.Contains(t, string(bad), "rejected_reason")

	again, rows, err := read([]byte(strings.ReplaceAll(string(bad), "Whatever", "Open")), nil)
	require.NoError(t, err)
	require.Empty(t, rows[0].Wrong)
	require.Equal(t, "a,b", rows[0].X.Comment)
	twice, err := rejects(again, rows)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(twice), "rejected_reason"))
}

func TestR14_AFileThatIsNoneIsRejectedWhole(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"empty": "", "no header": "\n\n", "an unknown column": "source,secret\na,b\n", "a column twice": "source,Source\na,b\n", "a broken header": "\"source\n",
	} {
		_, _, err := read([]byte(data), nil)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "secret")
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(header + "servicebench,EX-1,Customer Callback,Open,,,,,2026-11-23T12:00:00Z,,Asha,1,,\n"))
	f.Add([]byte("source;exception_id\n\"a\n\n;b\n"))
	f.Add([]byte("\ufeffsource,rejected_row\r\n\"\r\",\n"))
	f.Add([]byte("source\n" + strings.Repeat("a", 100)))
	f.Fuzz(func(t *testing.T, data []byte) {
		names, rows, err := read(data, time.UTC)
		if err != nil {
			return
		}
		for _, one := range rows {
			require.NotEqual(t, one.X == nil, one.Wrong == "", "a row is an exception, or it is wrong")
			require.Positive(t, one.Line)
			require.LessOrEqual(t, len(one.Raw), maxRow)
		}
		bad, err := rejects(names, rows)
		require.NoError(t, err)
		all, err := csv.NewReader(strings.NewReader(string(bad))).ReadAll()
		require.NoError(t, err, "a reject file can be read")
		require.Len(t, all, len(rows)+1)
	})
}
