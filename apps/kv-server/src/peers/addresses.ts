/**
 * The membership holds all URLs of a member in one address, joined by commas: it is the only place
 * where they are kept. Transports read them so, and try one after the other.
 */

export function addressOfUrls(urls: readonly string[]): string {
  return urls.join(',')
}

export function urlsOfAddress(address: string): readonly string[] {
  return address.split(',')
}
