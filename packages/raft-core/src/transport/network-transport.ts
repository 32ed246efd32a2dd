import type { Transport } from '../contracts/transport.ts'

/** A transport that listens in the network. `Tls` is what it needs to speak TLS. */
export interface NetworkTransport<Tls extends object> extends Transport {
  /**
   * Where this node listens, as `host:port` or `unix://path`, once `start` has resolved; with commas
   * between several.
   */
  address(): string
  /**
   * Shows another certificate, and trusts others, in every connection from now on; those that are open
   * go on. Throws a TypeError if the transport was made without TLS, and whatever Node throws for
   * material that makes no sense, with nothing changed.
   */
  renewTls(tls: Tls): void
}
