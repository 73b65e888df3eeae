package peer;

import java.util.Map;
import java.util.TreeSet;

/** Both the state of a user and what is emitted. */
record Profile(
    String userId, TreeSet<String> anonymousIds, Map<String, Trait> traits, String lastSeenAt,
    String causedBy) {}
