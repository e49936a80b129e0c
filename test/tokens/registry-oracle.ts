import type { Id, Role, TokenCommand, TokenErrorCode, TokenHash, TokenRecord } from '@leastwise/tokens'

// The registry once more, written as plainly as possible: one list, changed in place, read from front to back.

interface OracleToken {
  id: string
  role: Role
  secretHash: string
  createdAt: number
  expiresAt: number | null
  maxUses: number | null
  revoked: boolean
  uses: { key: string; nodeId: string; at: number }[]
}

const DAY = 24 * 60 * 60 * 1000

export class RegistryOracle {
  tokens: OracleToken[] = []

  /** Does it, and says with which code it is refused, or `null`. Only what random commands can reach: no limits, no malformed ids. */
  do(command: TokenCommand): TokenErrorCode | null {
    switch (command.type) {
      case 'mint':
        return this.mint(command)
      case 'rotate': {
        const older = this.tokens.filter((token) => token.role === command.role && !this.isDead(token, command.now))
        const refused = this.mint(command)
        if (refused !== null) return refused
        for (const token of older) {
          if (command.overlapMs === 0) token.revoked = true
          else token.expiresAt = Math.min(token.expiresAt ?? Infinity, command.now + command.overlapMs)
        }
        return null
      }
      case 'revoke': {
        const token = this.tokens.find(({ id }) => id === command.id)
        if (token === undefined) return 'TOKEN_UNKNOWN'
        token.revoked = true
        return null
      }
      case 'redeem': {
        const token = this.tokens.find(({ secretHash }) => secretHash === command.secretHash)
        if (token === undefined) return 'TOKEN_UNKNOWN'
        if (token.revoked) return 'TOKEN_REVOKED'
        if (this.isExpired(token, command.now)) return 'TOKEN_EXPIRED'
        if (token.uses.some(({ key }) => key === command.publicKeyHash)) return null
        if (this.isUsedUp(token)) return 'TOKEN_EXHAUSTED'
        token.uses.push({ key: command.publicKeyHash, nodeId: command.nodeId, at: command.now })
        return null
      }
      case 'prune':
        this.tokens = this.tokens.filter((token) => {
          const lastUse = token.uses.at(-1)?.at ?? 0
          return !this.isDead(token, command.now) && !(this.isUsedUp(token) && lastUse + DAY <= command.now)
        })
        return null
    }
  }

  list(now: number): TokenRecord[] {
    return this.tokens.map((token) => ({
      id: token.id as Id,
      role: token.role,
      createdAt: token.createdAt,
      expiresAt: token.expiresAt,
      uses: token.uses.length,
      maxUses: token.maxUses,
      lastUsedAt: token.uses.at(-1)?.at ?? null,
      state: token.revoked
        ? 'revoked'
        : this.isExpired(token, now)
          ? 'expired'
          : this.isUsedUp(token)
            ? 'exhausted'
            : 'live',
    }))
  }

  answer(secretHash: TokenHash, key: string, now: number): { tokenId: string; nodeId: string; role: Role } | null {
    const token = this.tokens.find((one) => one.secretHash === secretHash)
    if (token === undefined || this.isDead(token, now)) return null
    const use = token.uses.find((one) => one.key === key)
    return use === undefined ? null : { tokenId: token.id, nodeId: use.nodeId, role: token.role }
  }

  private mint(command: {
    id: string
    role: Role
    secretHash: string
    now: number
    ttlMs: number | null
    maxUses: number | null
  }) {
    const { id, role, secretHash, now, ttlMs, maxUses } = command
    if (this.tokens.some((token) => token.id === id || token.secretHash === secretHash)) return 'TOKEN_EXISTS'
    const expiresAt = ttlMs === null ? null : now + ttlMs
    this.tokens.push({ id, role, secretHash, createdAt: now, expiresAt, maxUses, revoked: false, uses: [] })
    return null
  }

  private isExpired = (token: OracleToken, now: number) => token.expiresAt !== null && token.expiresAt <= now
  private isDead = (token: OracleToken, now: number) => token.revoked || this.isExpired(token, now)
  private isUsedUp = (token: OracleToken) => token.maxUses !== null && token.uses.length >= token.maxUses
}
