"""What a request passes before an API answers it: the socket, the gate, the gateway, and the scripted faults."""
