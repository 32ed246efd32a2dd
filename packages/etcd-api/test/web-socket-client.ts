/** A WebSocket at the gateway, as a page would open it. */
import { WebSocket } from 'ws'

export interface WebSocketClient extends Disposable {
  /** The one that the server chose; empty for none. */
  readonly protocol: string
  send(text: string | Uint8Array): void
  /** As text, whatever it is. */
  sendAsText(bytes: Uint8Array): void
  /** The next message, which is JSON. Rejects if it is closed before. */
  next(): Promise<Record<string, unknown>>
  /** Resolves with the code when it is closed. */
  readonly closed: Promise<number>
  /** Reads nothing more from the connection. */
  pause(): void
  close(): void
}

export interface WebSocketOptions {
  readonly protocols?: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
}

/** Rejects if the server does not open it. */
export async function webSocket(
  address: string,
  path: string,
  { protocols = [], headers = {} }: WebSocketOptions = {},
): Promise<WebSocketClient> {
  const socket = new WebSocket(`ws://${address}${path}`, [...protocols], { headers })
  const arrived: string[] = []
  let isClosed = false
  let wake = (): void => {}
  socket.on('message', (data: Buffer) => {
    arrived.push(data.toString())
    wake()
  })
  const closed = new Promise<number>((resolve) =>
    socket.once('close', (code) => {
      isClosed = true
      wake()
      resolve(code)
    }),
  )
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
  })
  socket.on('error', () => {})
  return {
    protocol: socket.protocol,
    send: (text) => socket.send(text),
    sendAsText: (bytes) => socket.send(bytes, { binary: false }),
    async next() {
      while (arrived.length === 0) {
        if (isClosed) throw new Error('the WebSocket is closed')
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return JSON.parse(arrived.shift() ?? '') as Record<string, unknown>
    },
    closed,
    pause: () => socket.pause(),
    close: () => socket.close(),
    [Symbol.dispose]: () => socket.terminate(),
  }
}
