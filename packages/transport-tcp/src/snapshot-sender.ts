/** Sending a snapshot: an opening message, chunks, an end with the total, and then the answer. */
import { type InstallSnapshot, RaftError } from '@coracle/raft-core'
import { encodeMessage, Writer } from '@coracle/raft-core/codec'
import type { Connection } from './connection.ts'
import { FRAME_HEADER_BYTES, seal, sealHead } from './frame.ts'
import { CHUNK, decodeAnswer, END, MAX_CHUNK_BYTES } from './snapshot-frames.ts'

/**
 * Resolves when the peer has kept all of it. The connection belongs to this call. However it ends,
 * the source is let go.
 */
export async function sendSnapshot(
  connection: Connection,
  message: InstallSnapshot,
  source: AsyncIterator<Uint8Array>,
): Promise<void> {
  const answer = answerFrom(connection)
  connection.write(seal(encodeMessage(message, { reserveBytes: FRAME_HEADER_BYTES })))
  try {
    // The peer may answer before it has seen everything: that it needs none of it, or wants none.
    await Promise.race([answer, stream(connection, source)])
    await answer
  } catch (reason) {
    connection.destroy(reason instanceof Error ? reason : new Error(String(reason)))
    throw reason
  }
  connection.destroy(new Error('the snapshot was sent'))
}

async function stream(connection: Connection, source: AsyncIterator<Uint8Array>): Promise<void> {
  let total = 0
  for (;;) {
    const next = await source.next()
    if (connection.closed) return
    if (next.done === true) break
    total += next.value.byteLength
    await writeChunk(connection, next.value)
  }
  const end = new Writer(FRAME_HEADER_BYTES + 9)
  end.raw(new Uint8Array(FRAME_HEADER_BYTES))
  end.u8(END)
  end.u64(total)
  connection.write(seal(end.finish()))
}

async function writeChunk(connection: Connection, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.byteLength; at += MAX_CHUNK_BYTES) {
    const part = chunk.subarray(at, at + MAX_CHUNK_BYTES)
    connection.write(sealHead(CHUNK, part), part)
    await connection.drained()
  }
}

/** Settles with the peer's answer, or rejects if the connection closes first. */
function answerFrom(connection: Connection): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.onClosed(reject)
    connection.onPayload((payload) => {
      const answer = decodeAnswer(payload)
      if (answer === null) resolve()
      else reject(new RaftError('UNAVAILABLE', `the peer did not keep the snapshot: ${answer}`))
    })
  })
}
