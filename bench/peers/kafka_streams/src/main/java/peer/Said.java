package peer;

import java.util.HashMap;
import java.util.Map;

/** What events stated: traits with their times, the latest one's context, first and last time. */
record Said(Map<String, Trait> traits, @Verbatim String context, String first, String last) {

    static Said by(Event event) {
        String at = event.timestamp();
        Map<String, Trait> stamped = new HashMap<>();
        if (event.traits() != null) {
            event.traits().forEach((name, value) -> stamped.put(name, new Trait(value, at)));
        }
        return new Said(stamped, event.context(), at, at);
    }

    /** Both: last write wins per trait, and the latest context. The known traits are changed. */
    Said and(Said stated) {
        stated.traits.forEach((name, one) -> traits.merge(
            name, one, (old, now) -> old.at().compareTo(now.at()) > 0 ? old : now));
        Said latest = last.compareTo(stated.last) > 0 ? this : stated;
        String earliest = first.compareTo(stated.first) < 0 ? first : stated.first;
        return new Said(traits, latest.context, earliest, latest.last);
    }
}
