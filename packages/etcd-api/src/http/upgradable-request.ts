/** Requests that ask for another protocol on the side, for which Node has one answer only. */
import { IncomingMessage } from 'node:http'

/**
 * As soon as somebody listens to upgrades, Node takes every request that offers one for the beginning of
 * another protocol, and its body for what follows. Java's client and `curl --http2` offer h2c with
 * each of theirs and are content with HTTP/1.1. So a request says itself whether it is upgraded.
 */
export function upgradableRequest(
  isWanted: (request: IncomingMessage) => boolean,
): typeof IncomingMessage {
  return class UpgradableRequest extends IncomingMessage {
    /** What Node found. It is set by the base's constructor, before a field of this class is there. */
    declare isOffered: boolean

    get upgrade(): boolean {
      return this.isOffered && (this.method === 'CONNECT' || isWanted(this))
    }

    set upgrade(isOffered: boolean) {
      this.isOffered = isOffered
    }
  }
}
