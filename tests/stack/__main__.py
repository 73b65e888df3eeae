"""``python -m tests.stack``: the services on fixed ports until Ctrl-C."""

import signal
import sys

from tests.stack.services import Kafka, Redis, Registry, Service, StackError

PORTS = {"kafka": 19092, "redis": 16379, "registry": 18081}


def main() -> int:
    """Starts, says where everything listens, waits, stops."""
    services: list[Service] = [
        Kafka(PORTS["kafka"]),
        Redis(PORTS["redis"]),
        Registry(PORTS["registry"]),
    ]
    try:
        for service in services:
            print(f"starting {service.name} on port {service.port} …", flush=True)
            service.start()
        print(f"\nKafka     127.0.0.1:{PORTS['kafka']}")
        print(f"Redis     redis://127.0.0.1:{PORTS['redis']}")
        print(f"Registry  http://127.0.0.1:{PORTS['registry']}/apis/ccompat/v7")
        print("\nCtrl-C stops all three.", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
        print("\nstopping …")
    except StackError as error:
        print(error, file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\nstopping …")
    finally:
        for service in reversed(services):
            service.close()
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    sys.exit(main())
