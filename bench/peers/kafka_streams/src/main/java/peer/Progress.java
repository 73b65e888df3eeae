package peer;

import java.util.HashSet;
import java.util.Set;

/** Says on stdout how far the application is; the harness takes the time of each line. */
final class Progress {
    private final long events;
    private final Set<String> said = new HashSet<>();
    private long seen;
    private boolean begun;

    Progress(long events) {
        this.events = events;
    }

    void say(String word) {
        if (begun && word.equals("begin")) {
            return;
        }
        synchronized (this) {
            begun |= word.equals("begin");
            if (said.add(word)) {
                System.out.println(word);
                System.out.flush();
            }
        }
    }

    /** One more event has become an output; called by the one stream thread only. */
    void count() {
        seen++;
        if (events > 0 && seen == events) {
            say("done " + seen);
        }
    }
}
