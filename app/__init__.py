"""faust-event-counter: settings, errors, stores, pure functions, and what wires them."""
