"""What lifecycle and stickiness share: in which of a range's periods each key is active."""
