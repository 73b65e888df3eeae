package peer;

import java.util.Map;
import java.util.TreeSet;

/** Both the state of a user and what is emitted. */
record Profile(
    String userId, TreeSet<String> anonymousIds, Map<String, Trait> traits,
    @Verbatim String context, String firstSeenAt, String lastSeenAt, String causedBy) {

    static Profile of(Statement stated, TreeSet<String> devices, Said said) {
        return new Profile(
            stated.userId(), devices, said.traits(), said.context(), said.first(), said.last(),
            stated.messageId());
    }

    Said said() {
        return new Said(traits, context, firstSeenAt, lastSeenAt);
    }
}
