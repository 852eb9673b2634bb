"""SIP (RFC 3261) without IO: reader, transactions, dialogs, SDP and a user agent on top.

`sipmessage` holds the grammar of single headers; everything with behaviour is here.  Transport,
registration, authentication and routing to other servers stay out.
"""
