// Spans of Greenroom to an OTLP collector, by OpenTelemetry's own SDK, which is installed beside this file:
//   npm install --prefix /opt/tracing @opentelemetry/sdk-trace-node@2 @opentelemetry/exporter-trace-otlp-http@0.223
//   cp .deploy/tracing.mjs /opt/tracing/
//   export NODE_OPTIONS="--import /opt/tracing/tracing.mjs"
//   export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 OTEL_SERVICE_NAME=greenroom
// OTEL_RESOURCE_ATTRIBUTES, OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER and OTEL_BSP_SCHEDULE_DELAY are read too. A server
// that stops sends its last spans.
import { isMainThread } from 'node:worker_threads';

// Node loads this file in every thread; spans are made in the first one.
if (isMainThread) {
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
  const { defaultResource, detectResources, envDetector } = await import('@opentelemetry/resources');
  const { BatchSpanProcessor, NodeTracerProvider } = await import('@opentelemetry/sdk-trace-node');
  const resource = defaultResource().merge(detectResources({ detectors: [envDetector] }));
  const spanProcessors = [new BatchSpanProcessor(new OTLPTraceExporter())];
  new NodeTracerProvider({ resource, spanProcessors }).register();
}
