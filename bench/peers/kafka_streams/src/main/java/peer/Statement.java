package peer;

import java.util.Map;
import java.util.TreeSet;

/** What one event adds to a user, its device's share included. */
record Statement(
    String userId, String anonymousId, String messageId, String at, Map<String, Trait> traits) {

    Profile anonymousProfile() {
        return new Profile(
            null, new TreeSet<>(java.util.List.of(anonymousId)), traits, at, messageId);
    }
}
