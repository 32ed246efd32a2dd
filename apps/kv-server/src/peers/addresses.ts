/**
 * The membership holds all URLs of a member in one address, joined by commas: it is the only place
 * where they are kept. Transports take one of them.
 */
import type { Peer, Transport } from '@coracle/raft-core'

export function addressOfUrls(urls: readonly string[]): string {
  return urls.join(',')
}

export function urlsOfAddress(address: string): readonly string[] {
  return address.split(',')
}

/** The transport, told of every peer's first URL. */
export function overFirstUrls(transport: Transport): Transport {
  return {
    start: (handlers) => transport.start(handlers),
    setPeers: (peers) => transport.setPeers(peers.map(withFirstUrl)),
    send: (message) => transport.send(message),
    sendSnapshot: (message, chunks, options) => transport.sendSnapshot(message, chunks, options),
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  }
}

function withFirstUrl({ id, address }: Peer): Peer {
  return { id, address: urlsOfAddress(address)[0] ?? '' }
}
