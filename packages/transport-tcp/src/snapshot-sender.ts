/** Sending a snapshot: an opening message, what the peer does not hold yet, and then its answer. */
import {
  type HeldSnapshot,
  type InstallSnapshot,
  type OpenSnapshot,
  RaftError,
} from '@coracle/raft-core'
import { encodeMessage } from '@coracle/raft-core/codec'
import type { Connection } from './connection.ts'
import { FRAME_HEADER_BYTES, ProtocolError, seal, sealHead } from './frame.ts'
import {
  CHUNK,
  decodeReceiverFrame,
  encodeEnd,
  encodeStart,
  MAX_CHUNK_BYTES,
} from './snapshot-frames.ts'

/**
 * Resolves when the peer has kept all of it. The connection belongs to this call. However it ends,
 * the source is let go.
 */
export async function sendSnapshot(
  connection: Connection,
  message: InstallSnapshot,
  open: OpenSnapshot,
): Promise<void> {
  const peer = listenTo(connection)
  connection.write(seal(encodeMessage(message, { reserveBytes: FRAME_HEADER_BYTES })))
  try {
    // The peer may answer before it has seen everything: that it needs none of it, or wants none.
    await Promise.race([peer.answer, peer.held.then((held) => stream(connection, open, held))])
    await peer.answer
  } catch (reason) {
    connection.destroy(reason instanceof Error ? reason : new Error(String(reason)))
    throw reason
  }
  connection.destroy(new Error('the snapshot was sent'))
}

async function stream(
  connection: Connection,
  open: OpenSnapshot,
  held: HeldSnapshot,
): Promise<void> {
  const { offset, chunks } = await open(held)
  const source = chunks[Symbol.asyncIterator]()
  // A source that hangs must not hold up the news that the stream broke, so nobody waits for this.
  connection.onClosed(() => {
    source.return?.().catch(() => {})
  })
  connection.write(encodeStart(offset))
  let total = 0
  for (;;) {
    const next = await source.next()
    if (connection.closed) return
    if (next.done === true) break
    total += next.value.byteLength
    await writeChunk(connection, next.value)
  }
  connection.write(encodeEnd(total))
}

async function writeChunk(connection: Connection, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.byteLength; at += MAX_CHUNK_BYTES) {
    const part = chunk.subarray(at, at + MAX_CHUNK_BYTES)
    connection.write(sealHead(CHUNK, part), part)
    await connection.drained()
  }
}

interface Listening {
  /** What the peer holds. Never settles if it answers at once. */
  readonly held: Promise<HeldSnapshot>
  /** Settles with the peer's answer, or rejects if the connection closes first. */
  readonly answer: Promise<void>
}

function listenTo(connection: Connection): Listening {
  let tell: ((held: HeldSnapshot) => void) | null = null
  const held = new Promise<HeldSnapshot>((resolve) => {
    tell = resolve
  })
  const answer = new Promise<void>((resolve, reject) => {
    connection.onClosed(reject)
    connection.onPayload((payload) => {
      const frame = decodeReceiverFrame(payload)
      if (frame.kind === 'held') {
        if (tell === null) throw new ProtocolError('it says twice what it holds of a snapshot')
        tell(frame.held)
        tell = null
      } else if (frame.kind === 'kept') resolve()
      else reject(new RaftError('UNAVAILABLE', `the peer did not keep the snapshot: ${frame.why}`))
    })
  })
  return { held, answer }
}
