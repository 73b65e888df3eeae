package peer;

import java.util.Map;

/** What the harness tells. */
record Setup(
    String brokers, String raw, String name, String folder, long events,
    Map<String, Object> options) {

    String out() {
        return name + ".out";
    }
}
