"""Front-end of the prototype and dilated networks of the L3S group."""
