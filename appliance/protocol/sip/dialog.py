"""A dialog (RFC 3261 section 12): what two user agents remember of each other for a call."""

from __future__ import annotations

from dataclasses import dataclass

from sipmessage import URI, Address, Request, Response

from appliance.protocol.sip.message import Origin, new_request, tag_of


def _routes(message: Request | Response) -> list[str]:
    return [str(address) for address in message.record_route]


@dataclass
class Dialog:
    """The state of section 12; a request within it is made by `new_request`."""

    call_id: str
    """Call-ID header."""

    local: str
    """Our From or To header, with our tag."""

    remote: str
    """Their From or To header, with their tag if they have one."""

    local_tag: str
    """Our tag."""

    remote_tag: str
    """Their tag."""

    remote_target: URI
    """Their Contact: the request URI of what we send."""

    route_set: list[str]
    """Route headers, nearest first."""

    local_seq: int
    """CSeq number of our last request."""

    remote_seq: int | None
    """CSeq number of their last request; None: there was none."""

    @classmethod
    def of_caller(cls, invite: Request, response: Response) -> Dialog:
        """Make it from our INVITE and a response with a To tag (section 12.1.2)."""
        contacts = response.contact
        return cls(
            call_id=invite.call_id,
            local=invite.headers["From"],
            remote=response.headers["To"],
            local_tag=tag_of(invite.from_address),
            remote_tag=tag_of(response.to_address),
            remote_target=contacts[0].uri if contacts else invite.uri,
            route_set=_routes(response)[::-1],
            local_seq=invite.cseq.sequence,
            remote_seq=None,
        )

    @classmethod
    def of_callee(cls, invite: Request, local_tag: str) -> Dialog:
        """Make it from their INVITE, which has a Contact, and the tag we chose (12.1.1)."""
        return cls(
            call_id=invite.call_id,
            local=f"{invite.headers['To']};tag={local_tag}",
            remote=invite.headers["From"],
            local_tag=local_tag,
            remote_tag=tag_of(invite.from_address),
            remote_target=invite.contact[0].uri,
            route_set=_routes(invite),
            local_seq=0,
            remote_seq=invite.cseq.sequence,
        )

    def new_request(
        self,
        method: str,
        *,
        origin: Origin,
        branch: str,
        contact: str | None = None,
        body: bytes = b"",
        ack_of: int | None = None,
    ) -> Request:
        """Make the next request in the dialog (12.2.1.1), or the ACK of INVITE number `ack_of`."""
        if ack_of is None:
            self.local_seq += 1
        target, routes = self.remote_target, self.route_set
        if routes and "lr" not in (first := Address.parse(routes[0]).uri).parameters:
            # A strict router: it wants to be the request URI, and the target goes last.
            target, routes = first, [*routes[1:], f"<{self.remote_target}>"]
        return new_request(
            method,
            target,
            origin=origin,
            branch=branch,
            from_=self.local,
            to=self.remote,
            call_id=self.call_id,
            cseq=self.local_seq if ack_of is None else ack_of,
            contact=contact,
            routes=routes,
            body=body,
        )

    def take_request(self, request: Request) -> bool:
        """Note a request's number (12.2.2); False: it is out of order and must be refused."""
        number = request.cseq.sequence
        if self.remote_seq is not None and number <= self.remote_seq:
            return False
        self.remote_seq = number
        return True

    def refresh_target(self, message: Request | Response) -> None:
        """Take a new Contact from a re-INVITE or its 2xx (12.2.1.2, 12.2.2)."""
        if contacts := message.contact:
            self.remote_target = contacts[0].uri
