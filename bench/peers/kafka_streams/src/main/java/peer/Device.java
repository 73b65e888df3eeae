package peer;

import java.util.Map;

/** What was said with a device alone, and whose it is. */
record Device(String userId, Map<String, Trait> traits) {}
