/** /metrics, as Prometheus reads it. */
import type { Registry } from 'prom-client'
import type { Endpoint } from './endpoints.ts'

export function metricsEndpoint(registry: Registry): Endpoint {
  return async () => ({
    status: 200,
    type: registry.contentType,
    body: await registry.metrics(),
  })
}
