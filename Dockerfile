# The resolver as an image: settings at /etc/resolver/resolver.yaml or in the environment.
#
#   docker build -t identity-resolver .
#   docker run --init -v ./resolver.yaml:/etc/resolver/resolver.yaml:ro identity-resolver

FROM python:3.12-slim AS build
# The native engine needs cargo 1.82 or later: the base image is Debian trixie, which has 1.85.
RUN apt-get update && apt-get install --yes --no-install-recommends cargo gcc libc6-dev
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY schemas schemas
COPY native native
COPY resolver resolver
# The hooks build the native engine and compile the rest of the hot path.
RUN HATCH_BUILD_HOOKS_ENABLE=1 pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && python -m venv /opt/resolver \
 && /opt/resolver/bin/pip install --no-cache-dir "$(echo /wheels/*.whl)[registry]"

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin resolver
COPY --from=build /opt/resolver /opt/resolver
# Inside a container, loopback serves nobody, and logs are read by machines.
ENV PATH=/opt/resolver/bin:$PATH \
    RESOLVER_HTTP__HOST=0.0.0.0 \
    RESOLVER_HTTP__PORT=9464 \
    RESOLVER_LOG__FORMAT=json
WORKDIR /etc/resolver
USER 10001
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import http.client, os; \
port = int(os.environ['RESOLVER_HTTP__PORT']); \
c = http.client.HTTPConnection('127.0.0.1', port, timeout=4); c.request('GET', '/readyz'); \
raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["resolver"]
CMD ["run"]
