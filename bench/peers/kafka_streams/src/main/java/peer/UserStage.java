package peer;

import java.util.HashMap;
import java.util.Map;
import java.util.TreeSet;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** Keeps a user's profile and emits it with every statement. */
final class UserStage implements Processor<String, Statement, String, Profile> {
    private final Progress progress;
    private ProcessorContext<String, Profile> context;
    private KeyValueStore<String, Profile> users;

    UserStage(Progress progress) {
        this.progress = progress;
    }

    @Override
    public void init(ProcessorContext<String, Profile> given) {
        context = given;
        users = given.getStateStore("users");
    }

    @Override
    public void process(Record<String, Statement> record) {
        Statement stated = record.value();
        Profile known = users.get(record.key());
        Map<String, Trait> traits = known == null ? new HashMap<>() : known.traits();
        TreeSet<String> devices = known == null ? new TreeSet<>() : known.anonymousIds();
        Trait.merge(traits, stated.traits());
        devices.add(stated.anonymousId());
        String seen = known != null && known.lastSeenAt().compareTo(stated.at()) > 0
            ? known.lastSeenAt() : stated.at();
        Profile profile =
            new Profile(stated.userId(), devices, traits, seen, stated.messageId());
        users.put(record.key(), profile);
        context.forward(record.withValue(profile));
        progress.count();
    }
}
