package mailbox

import (
	"strings"

	"github.com/emersion/go-msgauth/authres"
)

// verdict is what our own mail server found out about the sender.
type verdict string

const (
	authentic verdict = "authentic" // the sender's domain vouches for it, or says nothing
	forged    verdict = "forged"    // it does not
	unchecked verdict = "unchecked" // our server did not check, or could not
)

// judge reads the DMARC results (RFC 8601) of the server that calls itself
// authservID. Whatever others have written is ignored: anybody can.
func judge(results []string, authservID string) verdict {
	found := unchecked
	for _, field := range results {
		// What is readable before a mistake counts: a sender cannot add to our field.
		server, methods, _ := authres.Parse(uncomment(field))
		if !strings.EqualFold(server, authservID) || server == "" {
			continue
		}
		for _, method := range methods {
			dmarc, is := method.(*authres.DMARCResult)
			if !is {
				continue
			}
			switch strings.ToLower(strings.TrimSpace(string(dmarc.Value))) {
			case "pass", "none", "bestguesspass":
				if found == unchecked {
					found = authentic
				}
			case "temperror":
				// Nobody knows.
			default:
				found = forged
			}
		}
	}
	return found
}

// uncomment drops comments (in parentheses, nested) and the quotes of quoted
// strings, whose semicolons and parentheses part nothing.
func uncomment(s string) string {
	var out strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b == '\\' && (quoted || depth > 0):
			i++ // whatever comes next is no mark
		case b == '"' && depth == 0:
			quoted = !quoted
		case b == '(' && !quoted:
			depth++
			out.WriteByte(' ')
		case b == ')' && !quoted && depth > 0:
			depth--
		case depth > 0:
		case quoted && (b == ';' || b == '=' || b == ' ' || b == '\t'):
			out.WriteByte('_')
		default:
			out.WriteByte(b)
		}
	}
	return out.String()
}
