// Package integration proves with the real binary what the server promises: it
// runs between a client that writes down what was acknowledged, a toy internet
// that writes down what arrived, and a receiver of webhooks that writes down
// what was told. A ledger compares the three. There is one file for each
// promise, named after it.
package integration
