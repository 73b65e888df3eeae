package peer;

import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Branched;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** The same merge as a Kafka Streams application: a stage per device, a stage per user. */
public final class Peer {
    static final int PARTITIONS = 12;

    private Peer() {}

    public static void main(String[] arguments) throws Exception {
        Setup setup = Json.read(arguments[arguments.length - 1].getBytes("UTF-8"), Setup.class);
        Progress progress = new Progress(setup.events());
        Properties properties = properties(setup);
        Topology topology = topology(setup, progress, properties);
        try (KafkaStreams streams = new KafkaStreams(topology, properties)) {
            CountDownLatch ended = new CountDownLatch(1);
            Runtime.getRuntime().addShutdownHook(new Thread(ended::countDown));
            streams.start();
            ended.await();
        }
    }

    static Properties properties(Setup setup) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, setup.name());
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, setup.brokers());
        properties.put(StreamsConfig.STATE_DIR_CONFIG, setup.folder());
        properties.put(
            StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        properties.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
        properties.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
        properties.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        properties.put(StreamsConfig.producerPrefix("compression.type"), "lz4");
        properties.put(StreamsConfig.producerPrefix("batch.size"), 1 << 18);
        setup.options().forEach(properties::put);
        return properties;
    }

    static Topology topology(Setup setup, Progress progress, Properties properties) {
        Serde<String> text = Serdes.String();
        Serde<Statement> statements = Json.serde(Statement.class);
        Serde<Profile> profiles = Json.serde(Profile.class);
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(store("devices", text, Json.serde(Device.class)));
        builder.addStateStore(store("users", text, Serdes.ByteArray()));

        KStream<String, Statement> stated = builder
            .stream(setup.raw(), Consumed.with(text, Json.serde(Event.class)))
            .process(() -> new DeviceStage(progress), "devices");
        Map<String, KStream<String, Statement>> routes = stated.split(
            org.apache.kafka.streams.kstream.Named.as("to-"))
            .branch((key, one) -> one.userId() != null, Branched.as("users"))
            .defaultBranch(Branched.as("nobody"));
        routes.get("to-users")
            .repartition(Repartitioned.with(text, statements)
                .withName("by-user").withNumberOfPartitions(PARTITIONS))
            .process(() -> new UserStage(progress, profiles), "users")
            .to(setup.out(), Produced.with(text, Serdes.ByteArray()));
        routes.get("to-nobody")
            .mapValues(Statement::anonymousProfile)
            .peek((key, one) -> progress.count())
            .to(setup.out(), Produced.with(text, profiles));
        return builder.build(properties);
    }

    private static <V> StoreBuilder<KeyValueStore<String, V>> store(
            String name, Serde<String> keys, Serde<V> values) {
        return Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), keys, values)
            .withCachingEnabled();
    }
}
