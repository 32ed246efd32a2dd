/** grpc.health.v1.Health: whether this member serves at all, for load balancers and kubelets. */
import { Code } from '@coracle/grpc-server'
import type { Call } from './call.ts'
import { EtcdError } from './errors.ts'
import { type Method, serverStream, unary } from './method.ts'
import { allMethods } from './schema.ts'
import type { HealthCheckRequest, HealthCheckResponse } from './wire.ts'

const SERVING = 1
const SERVICE_UNKNOWN = 3

export function healthService(): Record<string, Method> {
  const onLearner = (): boolean => true
  const always = { onLearner, fromTheStart: true }
  return {
    Check: unary(check, always),
    Watch: serverStream(watch, always),
  }
}

/** The server as a whole has the empty name; each service goes by its own, and fares no worse. */
const NAMES: ReadonlySet<string> = new Set(['', ...allMethods().map(({ service }) => service)])

function check(request: HealthCheckRequest): HealthCheckResponse {
  if (!NAMES.has(request.service)) throw new EtcdError(Code.NOT_FOUND, 'unknown service')
  return { status: SERVING }
}

/** Tells the state once: it does not change until the connection ends. */
async function* watch(
  request: HealthCheckRequest,
  call: Call,
): AsyncGenerator<HealthCheckResponse> {
  yield { status: NAMES.has(request.service) ? SERVING : SERVICE_UNKNOWN }
  await new Promise<void>((resolve) => call.onceOver(resolve))
}
