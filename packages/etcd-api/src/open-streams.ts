/**
 * Streams that stay open until somebody ends them: the client, a stopping server, or, if the client
 * asked for it, the loss of the leader.
 */
import type { Environment } from '@coracle/raft-core'
import type { Call } from './call.ts'
import * as errors from './errors.ts'
import type { EtcdError } from './errors.ts'
import type { Leadership } from './leadership.ts'

/** The part of a stream that it takes to end it. */
export interface OpenStream extends Pick<Call, 'metadata' | 'onceOver'> {
  end(error: EtcdError): void
}

export interface OpenStreams extends Disposable {
  /** Ends the stream when it must end, from now on. */
  add(stream: OpenStream): void
  /** Ends all there are with "etcdserver: server stopped", and each that is still to come. */
  endAll(): void
}

/** As many looks in a row that find no leader end a stream, as in etcd. */
const LOOKS_WITHOUT_LEADER = 3

export function openStreams(
  leadership: Leadership,
  environment: Environment,
  electionTimeoutMs: number,
): OpenStreams {
  const all = new Set<OpenStream>()
  const led = new Set<OpenStream>()
  let isStopped = false
  let looks = 0
  const stopLooking = environment.every(electionTimeoutMs, () => {
    looks = leadership.leader === null ? looks + 1 : 0
    if (looks >= LOOKS_WITHOUT_LEADER) end(led, errors.noLeader)
  })
  const streams: OpenStreams = {
    add(stream) {
      if (isStopped) {
        stream.end(errors.stopped)
        return
      }
      all.add(stream)
      if (stream.metadata('hasleader') === 'true') led.add(stream)
      stream.onceOver(() => {
        all.delete(stream)
        led.delete(stream)
      })
    },
    endAll() {
      isStopped = true
      stopLooking()
      led.clear()
      end(all, errors.stopped)
    },
    [Symbol.dispose]: () => streams.endAll(),
  }
  return streams
}

function end(streams: Set<OpenStream>, error: EtcdError): void {
  const ending = [...streams]
  streams.clear()
  for (const stream of ending) stream.end(error)
}
