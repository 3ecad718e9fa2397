package dovecot_test

import (
	"crypto/tls"
	"net"
	"net/smtp"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/stretchr/testify/require"

	"ringback/e2e/harness/dovecot"
)

func TestAMailboxAndSubmission(t *testing.T) {
	t.Parallel()
	s := dovecot.Start(t, "")
	look := func() {
		client, err := imapclient.DialInsecure(strings.TrimPrefix(s.IMAP, "imap://"), nil)
		require.NoError(t, err)
		require.NoError(t, client.Login(dovecot.User, dovecot.Password).Wait())
		box, err := client.Select("INBOX", nil).Wait()
		require.NoError(t, err)
		require.Zero(t, box.NumMessages)
		require.NoError(t, client.Close())
	}
	look()
	require.NoError(t, s.Stop())
	_, err := imapclient.DialInsecure(strings.TrimPrefix(s.IMAP, "imap://"), nil)
	require.Error(t, err)
	require.NoError(t, s.Resume())
	look()

	for _, address := range []string{s.IMAPS, s.SMTPS} {
		_, address, _ := strings.Cut(address, "://")
		conn, err := tls.Dial("tcp", address, s.Trust)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.SMTP, "smtp://"))
	require.NoError(t, err)
	client, err := smtp.NewClient(conn, "127.0.0.1")
	require.NoError(t, err)
	require.Error(t, client.Auth(smtp.PlainAuth("", dovecot.User, "wrong", "127.0.0.1")))
}
