// Spans of Greenroom to an OTLP collector, by OpenTelemetry's own SDK, which is installed beside this file:
//   npm install --prefix /opt/tracing @opentelemetry/sdk-node && cp .deploy/tracing.mjs /opt/tracing/
//   export NODE_OPTIONS="--import /opt/tracing/tracing.mjs"
//   export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 OTEL_SERVICE_NAME=greenroom
//   export OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none
import { NodeSDK } from '@opentelemetry/sdk-node';

const sdk = new NodeSDK();
sdk.start();
// The last spans of a server that stops.
process.once('beforeExit', () => sdk.shutdown());
