package book

import (
	"crypto/sha1" //nolint:gosec // as RFC 9562 has it; it only names
	"encoding/hex"
	"strconv"
)

// operations is the name space of the ids of operations (RFC 9562, version 5).
const operations = "\x5b\x0c\x2f\x0e\x6f\x0a\x5c\x63\x9d\x0b\x6f\x1e\x7e\x1b\x7a\x10"

// OperationID names the delivery of one event to one destination, as a UUID: the
// same however often it is tried, and no other's. Nothing can be learnt from it.
func OperationID(callbackID, destination string, seq int64) string {
	sum := sha1.Sum([]byte(operations + callbackID + "\n" + destination + "\n" + strconv.FormatInt(seq, 10))) //nolint:gosec // as above
	id := sum[:16]
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80
	text := hex.EncodeToString(id)
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
