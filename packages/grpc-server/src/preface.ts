/** Which protocol a connection speaks, by its first bytes (RFC 9113, section 3.4). */
import type { Socket } from 'node:net'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

export interface Spoken {
  /** It is HTTP/2; these bytes came behind the preface. */
  http2(rest: Uint8Array): void
  /** It is something else; nothing was taken from the socket. */
  other(): void
}

/** Listens until it is clear; the socket is closed if that takes longer than `timeoutMs`. */
export function detectProtocol(socket: Socket, timeoutMs: number, spoken: Spoken): void {
  let seen: Uint8Array = new Uint8Array(0)
  const timer = setTimeout(() => socket.destroy(), timeoutMs)
  const stop = (): void => {
    clearTimeout(timer)
    socket.off('data', look).off('error', giveUp).off('end', giveUp).off('close', stop)
  }
  const giveUp = (): void => {
    stop()
    socket.on('error', () => {})
    socket.destroy()
  }
  const look = (bytes: Uint8Array): void => {
    seen = seen.length === 0 ? bytes : Buffer.concat([seen, bytes])
    const length = Math.min(seen.length, PREFACE.length)
    if (PREFACE.compare(seen, 0, length, 0, length) !== 0) {
      stop()
      socket.pause()
      socket.unshift(seen)
      spoken.other()
      // Whoever has it now listens by now.
      socket.resume()
    } else if (length === PREFACE.length) {
      stop()
      spoken.http2(seen.subarray(length))
    }
  }
  socket.on('data', look).on('error', giveUp).on('end', giveUp).on('close', stop)
}
