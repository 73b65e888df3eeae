package peer;

import java.util.Map;

/** A raw identify event; what is not named here is skipped while parsing. */
record Event(
    String messageId, String anonymousId, String userId, String timestamp,
    Map<String, Object> traits, @Verbatim String context) {}
