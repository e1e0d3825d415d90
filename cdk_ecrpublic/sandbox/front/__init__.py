"""The path of a request to an API: the socket, the gate, the size limits and the gateway; and the controls."""
