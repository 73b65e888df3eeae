package peer;

import java.util.List;
import java.util.TreeSet;

/** What one event adds to a user, its device's share included. */
record Statement(String userId, String anonymousId, String messageId, Said said) {

    Profile anonymousProfile() {
        return Profile.of(this, new TreeSet<>(List.of(anonymousId)), said);
    }
}
