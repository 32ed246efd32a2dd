/** The first moments of a connection, before it is known who gets it. */
import type { Socket } from 'node:net'
import type { Environment } from '@coracle/raft-core'
import { EMPTY_SETTINGS, readOpening } from './authority.ts'

/** A connection whose first request has not come by then is handed on without. */
const OPENING_TIMEOUT_MS = 5_000
/** HTTP/2 lets a client send 64 KiB before it hears from the server; and the headers come on top. */
const MAX_OPENING_BYTES = 256 * 1024

/** Who takes connections, by what the client speaks on them. */
export interface Protocols {
  readonly http1: (socket: Socket) => void
  readonly http2: (socket: Socket) => void
}

/** Reads as far as the first request of HTTP/2, puts it right, and hands the connection on. */
export function openConnection(socket: Socket, serve: Protocols, environment: Environment): void {
  let bytes: Uint8Array = new Uint8Array()
  let sentSettings = false
  let awaitRequest = true
  const detach = (): void => {
    stopWaiting()
    socket.off('data', take).off('error', giveUp).off('end', giveUp)
  }
  const giveUp = (): void => {
    detach()
    socket.on('error', () => {}).destroy()
  }
  const look = (): void => {
    const opening = readOpening(bytes, { sentSettings, awaitRequest })
    if (opening.type === 'complete') {
      detach()
      socket.pause()
      socket.unshift(opening.bytes)
      if (opening.isHttp2) serve.http2(socket)
      else serve.http1(socket)
    } else if (bytes.length > MAX_OPENING_BYTES || !awaitRequest) giveUp()
    else if (opening.isHttp2 && !sentSettings) {
      sentSettings = true
      socket.write(EMPTY_SETTINGS)
    }
  }
  const take = (chunk: Uint8Array): void => {
    bytes = Buffer.concat([bytes, chunk])
    look()
  }
  const stopWaiting = environment.every(OPENING_TIMEOUT_MS, () => {
    awaitRequest = false
    look()
  })
  socket.on('data', take).on('error', giveUp).on('end', giveUp)
}
