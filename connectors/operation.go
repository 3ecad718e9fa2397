package connectors

import (
	"strconv"

	"github.com/google/uuid"
)

// operations is the name space of the ids of operations.
var operations = uuid.MustParse("5b0c2f0e-6f0a-5c63-9d0b-6f1e7e1b7a10")

// OperationID names the delivery of one event to one system: the same however
// often it is tried, and no other's. Nothing can be learnt from it.
func OperationID(callbackID, destination string, seq int64) string {
	return uuid.NewSHA1(operations, []byte(callbackID+"\n"+destination+"\n"+strconv.FormatInt(seq, 10))).String()
}
