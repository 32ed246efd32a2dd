/** A transport whose traffic is counted, peer by peer. */
import type { Message, NodeId, OpenSnapshot, Transport } from '@coracle/raft-core'
import type { SnapshotTransfers } from './snapshot-transfers.ts'

/** What is known of the way to one peer and back. */
export class Link {
  sentBytes = 0
  receivedBytes = 0
  /** Times that messages to the peer were being lost. */
  failures = 0
  /** Times that it was heard before messages to it were lost. */
  losses = 0
  /** Whether something came from it since messages to it were lost. */
  isHeard = false
  /** Who the peer takes this member for, once it has said something. */
  local: NodeId | null = null

  heard(local: NodeId): void {
    this.local = local
    this.isHeard = true
  }

  lost(): void {
    this.failures += 1
    if (this.isHeard) this.losses += 1
    this.isHeard = false
  }
}

export interface PeerTraffic {
  link(peer: NodeId): Link
  /** From a heartbeat to its answer, in seconds. */
  roundTrip(peer: NodeId, seconds: number): void
  readonly sentSnapshots: SnapshotTransfers
  readonly receivedSnapshots: SnapshotTransfers
}

/** What a message takes beside its entries and commands, about. */
const MESSAGE_BYTES = 48

export function measuredTransport(
  transport: Transport,
  traffic: PeerTraffic,
  now: () => number,
): Transport {
  /** When a heartbeat went out to a peer that has not answered one since. */
  const asked = new Map<NodeId, number>()
  return {
    start: (handlers) =>
      transport.start({
        onMessage(message) {
          const link = traffic.link(message.from)
          link.heard(message.to)
          link.receivedBytes += bytesOf(message)
          if (message.type === 'heartbeat-reply') answered(message.from)
          handlers.onMessage(message)
        },
        onSnapshot(message, open) {
          const bytes = counted(open, (count) => {
            traffic.link(message.from).receivedBytes += count
          })
          return traffic.receivedSnapshots.run(message.from, () =>
            handlers.onSnapshot(message, bytes),
          )
        },
        onUnreachable(peer) {
          traffic.link(peer).lost()
          handlers.onUnreachable(peer)
        },
      }),
    setPeers: (peers) => transport.setPeers(peers),
    send(message) {
      traffic.link(message.to).sentBytes += bytesOf(message)
      if (message.type === 'heartbeat' && !asked.has(message.to)) asked.set(message.to, now())
      transport.send(message)
    },
    sendSnapshot(message, open, options) {
      const bytes = counted(open, (count) => {
        traffic.link(message.to).sentBytes += count
      })
      return traffic.sentSnapshots.run(message.to, () =>
        transport.sendSnapshot(message, bytes, options),
      )
    },
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  }

  function answered(peer: NodeId): void {
    const since = asked.get(peer)
    if (since === undefined) return
    asked.delete(peer)
    traffic.roundTrip(peer, (now() - since) / 1_000)
  }
}

function bytesOf(message: Message): number {
  let bytes = MESSAGE_BYTES
  if (message.type === 'append-entries')
    for (const { data } of message.entries) bytes += data.length
  else if (message.type === 'propose')
    for (const command of message.commands) bytes += command.length
  return bytes
}

function counted(open: OpenSnapshot, count: (bytes: number) => void): OpenSnapshot {
  return async (held) => {
    const { offset, chunks } = await open(held)
    return { offset, chunks: countedChunks(chunks, count) }
  }
}

async function* countedChunks(
  chunks: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    count(chunk.length)
    yield chunk
  }
}
