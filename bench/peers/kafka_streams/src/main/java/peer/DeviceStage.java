package peer;

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
        String owner = known == null ? null : known.userId();
        Said before = known == null ? null : known.said();
        Said said = before == null ? Said.by(event) : before.and(Said.by(event));
        String userId = event.userId() == null ? owner : event.userId();
        if (userId == null) {
            devices.put(anonymousId, new Device(null, said));
        } else if (!userId.equals(owner)) {
            devices.put(anonymousId, new Device(userId, null));
        }
        String key = userId == null ? anonymousId : userId;
        context.forward(record.withKey(key).withValue(
            new Statement(userId, anonymousId, event.messageId(), said)));
    }
}
