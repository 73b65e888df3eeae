package peer;

/** Whose a device is, or else what was said before anybody logged in on it. */
record Device(String userId, Said said) {}
