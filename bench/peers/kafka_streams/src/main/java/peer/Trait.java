package peer;

import java.util.HashMap;
import java.util.Map;

/** A value and when it was stated; ISO instants of one form compare as text. */
record Trait(Object value, String at) {

    /** Last write wins per trait; {@code into} is changed. */
    static void merge(Map<String, Trait> into, Map<String, Trait> from) {
        from.forEach((name, one) -> into.merge(
            name, one, (old, now) -> old.at().compareTo(now.at()) > 0 ? old : now));
    }

    static Map<String, Trait> of(Map<String, Object> traits, String at) {
        Map<String, Trait> stamped = new HashMap<>();
        if (traits != null) {
            traits.forEach((name, value) -> stamped.put(name, new Trait(value, at)));
        }
        return stamped;
    }
}
