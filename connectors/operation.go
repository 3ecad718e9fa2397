package connectors

import "ringback/book"

// OperationID names the delivery of one event to one system: the same however
// often it is tried, and no other's. Nothing can be learnt from it.
func OperationID(callbackID, destination string, seq int64) string {
	return book.OperationID(callbackID, destination, seq)
}
