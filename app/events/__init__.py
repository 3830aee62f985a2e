"""What an event is, from bytes to fields and derived names."""
