package peer;

import java.util.TreeSet;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Keeps a user's profile and emits it with every statement. It is written once, as bytes that the
 * store and the topic share.
 */
final class UserStage implements Processor<String, Statement, String, byte[]> {
    private final Progress progress;
    private final Serializer<Profile> writer;
    private final Deserializer<Profile> reader;
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> users;

    UserStage(Progress progress, Serde<Profile> profiles) {
        this.progress = progress;
        writer = profiles.serializer();
        reader = profiles.deserializer();
    }

    @Override
    public void init(ProcessorContext<String, byte[]> given) {
        context = given;
        users = given.getStateStore("users");
    }

    @Override
    public void process(Record<String, Statement> record) {
        Statement stated = record.value();
        Profile known = reader.deserialize(null, users.get(record.key()));
        TreeSet<String> devices = known == null ? new TreeSet<>() : known.anonymousIds();
        devices.add(stated.anonymousId());
        Said said = known == null ? stated.said() : known.said().and(stated.said());
        byte[] profile = writer.serialize(null, Profile.of(stated, devices, said));
        users.put(record.key(), profile);
        context.forward(record.withValue(profile));
        progress.count();
    }
}
