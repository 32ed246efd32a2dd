/** Two-way streams to a member, with bytes for messages. */
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js'

const identity = (bytes: Buffer): Buffer => bytes

export type ByteStream = ClientDuplexStream<Buffer, Buffer>

/** Streams of one method on so many connections. Disposal ends them all. */
export function openStreams(
  address: string,
  path: string,
  { connections, streams }: { readonly connections: number; readonly streams: number },
): Disposable & { readonly all: readonly ByteStream[] } {
  const clients = Array.from({ length: connections }, () => connect(address))
  const all = clients.flatMap((client) =>
    Array.from({ length: streams }, () => {
      const stream = client.makeBidiStreamRequest(path, identity, identity)
      // A stream that is cancelled says so as an error.
      stream.on('error', () => {})
      return stream
    }),
  )
  return {
    all,
    [Symbol.dispose]() {
      for (const stream of all) stream.cancel()
      for (const client of clients) client.close()
    },
  }
}

/** A connection of its own. */
export function connect(address: string): Client {
  return new Client(address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': -1,
  })
}

export function call(client: Client, path: string, request: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, identity, identity, Buffer.from(request), (error, answer) =>
      error === null ? resolve(answer ?? new Uint8Array()) : reject(error),
    )
  })
}
