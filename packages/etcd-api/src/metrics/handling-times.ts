/** How long calls take, method by method, for who asks for it (etcd's `--metrics=extensive`). */
import { Histogram, type Registry } from 'prom-client'
import type { Rpc } from '../method.ts'
import { labelsOf, RPC_LABELS } from './rpc-labels.ts'

/** Those of Prometheus's clients for Go, in seconds. */
const BUCKETS: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** The same method, timed until its call is over; a stream by how long it is open. */
export type Timed = (rpc: Rpc) => Rpc

/** `now` is in milliseconds. */
export function handlingTimes(registry: Registry, now: () => number): Timed {
  const histogram = new Histogram({
    name: 'grpc_server_handling_seconds',
    help: 'From the beginning of a call to its end.',
    labelNames: [...RPC_LABELS],
    buckets: [...BUCKETS],
    registers: [registry],
  })
  return (rpc) => {
    const labels = labelsOf(rpc.schema)
    // A method that nobody has called yet is there with nothing in it, as in etcd.
    histogram.zero(labels)
    const clock = (): (() => void) => {
      const begun = now()
      return () => histogram.observe(labels, (now() - begun) / 1_000)
    }
    switch (rpc.kind) {
      case 'unary':
        return { ...rpc, call: timeUnary(rpc, clock) }
      case 'server-stream':
        return { ...rpc, call: timeStream(rpc, clock) }
      case 'duplex':
        return { ...rpc, call: timeDuplex(rpc, clock) }
    }
  }
}

/** Begins to measure; what it gives is called at the end. */
type Clock = () => () => void

function timeUnary(
  rpc: Extract<Rpc, { kind: 'unary' }>,
  clock: Clock,
): Extract<Rpc, { kind: 'unary' }>['call'] {
  return (request, call) => {
    const stop = clock()
    let answer: object | Promise<object>
    try {
      answer = rpc.call(request, call)
    } catch (error) {
      stop()
      throw error
    }
    if (answer instanceof Promise) return answer.finally(stop)
    stop()
    return answer
  }
}

function timeStream(
  rpc: Extract<Rpc, { kind: 'server-stream' }>,
  clock: Clock,
): Extract<Rpc, { kind: 'server-stream' }>['call'] {
  return async function* messages(request, call) {
    const stop = clock()
    try {
      yield* rpc.call(request, call)
    } finally {
      stop()
    }
  }
}

function timeDuplex(
  rpc: Extract<Rpc, { kind: 'duplex' }>,
  clock: Clock,
): Extract<Rpc, { kind: 'duplex' }>['call'] {
  return (call) => {
    call.onceOver(clock())
    rpc.call(call)
  }
}
