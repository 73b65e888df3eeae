package peer;

import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** Remembers what a device said alone, and passes it to whoever is identified on it. */
final class DeviceStage implements Processor<String, Event, String, Statement> {
    private final Progress progress;
    private ProcessorContext<String, Statement> context;
    private KeyValueStore<String, Device> devices;

    DeviceStage(Progress progress) {
        this.progress = progress;
    }

    @Override
    public void init(ProcessorContext<String, Statement> given) {
        context = given;
        devices = given.getStateStore("devices");
    }

    @Override
    public void process(Record<String, Event> record) {
        progress.say("begin");
        Event event = record.value();
        String anonymousId = event.anonymousId();
        Device known = devices.get(anonymousId);
        String userId = event.userId();
        Map<String, Trait> traits = Trait.of(event.traits(), event.timestamp());
        if (userId == null) {
            Map<String, Trait> own = known == null ? new HashMap<>() : known.traits();
            userId = known == null ? null : known.userId();
            Trait.merge(own, traits);
            devices.put(anonymousId, new Device(userId, own));
            traits = own;
        } else {
            if (known == null || !userId.equals(known.userId())) {
                Map<String, Trait> own = known == null ? new HashMap<>() : known.traits();
                devices.put(anonymousId, new Device(userId, own));
            }
            if (known != null) {
                Trait.merge(traits, known.traits());
            }
        }
        String key = userId == null ? anonymousId : userId;
        context.forward(record.withKey(key).withValue(new Statement(
            userId, anonymousId, event.messageId(), event.timestamp(), traits)));
    }
}
