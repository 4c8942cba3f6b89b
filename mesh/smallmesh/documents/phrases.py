"""The words by which mail programs, people and forms give themselves away, by language.

English, German, French and Spanish are written out; the others have what their mail programs put in. A further language is a
line in each of these and a sample in the tests.
"""

import re

I = re.IGNORECASE  # noqa: E741 - as in `re` itself


def _either(**languages: str) -> str:
    """One alternative of all languages' patterns; "und" is of none."""
    return f"(?:{'|'.join(languages.values())})"


# --- headers of mail: what a name before a colon stands for -----------------------------------------------------------

_HEADERS = {
    "from": "from, von, de, da, van, från, fra, od, absender, expéditeur, remitente",
    "to": "to, an, à, a, para, aan, till, til, do, empfänger, destinataire, destinatario",
    "cc": "cc, bcc, cci, cco, kopie, copie, copia",
    "date": "date, sent, datum, gesendet, gesendet am, envoyé, envoyé le, date d'envoi, fecha, enviado, enviado el, data, inviato,"
    " verzonden, skickat, sendt, wysłano",
    "subject": "subject, betreff, objet, asunto, assunto, oggetto, onderwerp, ämne, emne, temat",
    "other": "reply-to, message-id, received, mime-version, content-type, content-transfer-encoding, return-path, in-reply-to,"
    " references, importance, attachments, anlagen, delivered-to, user-agent, list-unsubscribe, dkim-signature, antwort an,"
    " répondre à, responder a, pièces jointes, datos adjuntos",
}
HEADER_NAMES = {name: meaning for meaning, names in _HEADERS.items() for name in names.split(", ")}
SUBJECT_PREFIX = re.compile(r"(?:(?:re|fwd?|aw|wg|tr|rv|sv|vs|antw|odp|enc|rif|ref|i)\s*(?:\[\d+\])?\s*:\s*)+", I)
FORWARDING_SUBJECT = re.compile(r"\s*+(?:fwd?|wg|tr|rv|enc|doorst|vb|i)\s*:", I)

# --- what stands before an older message ------------------------------------------------------------------------------

ATTRIBUTION_OPENS = re.compile(
    r"\s*+(?:On|Am|Le|El|Il|Op|Em|Den|Pe|W dniu|Dne|\d{4}-\d\d?-\d\d?|\d\d?[./]\d\d?[./]\d{2,4})\b",
)
ATTRIBUTION_CLOSES = re.compile(
    r"\b"
    + _either(
        en="wrote|writes", de="schrieb", fr="a écrit", es="escribió", it="ha scritto", nl="schreef", pt="escreveu", sv="skrev",
        pl=r"pisze|napisał(?:\(a\)|a)?",
    )
    + r"(?:\s[^\n]{0,100})?\s?:$"
)  # fmt: skip
_DASHES = r"\s*+(?:[-_=*\u2013\u2014]\s?){2,}\s*"
OLDER_MESSAGE = re.compile(
    _DASHES
    + _either(
        en="original (?:message|appointment)",
        de="ursprüngliche nachricht|originalnachricht",
        fr="message d['\u2019]origine",
        es="mensaje original",
        it="messaggio originale",
        nl="oorspronkelijk bericht",
        pt="mensagem original",
        da="oprindelig meddelelse",
        sv="ursprungligt meddelande",
    )
    + _DASHES
    + "$",
    I,
)
_BETWEEN_DASHES = _either(
    en="forwarded (?:message|by)",
    de="weitergeleitete? (?:nachricht|von)",
    fr="message (?:transféré|réexpédié)",
    es="mensaje reenviado",
    it="messaggio inoltrato",
    nl="doorgestuurd bericht",
    pt="mensagem (?:re)?encaminhada",
    sv="vidarebefordrat meddelande",
)
_BEFORE_A_COLON = _either(
    en="begin forwarded message",
    de="anfang der weitergeleiteten (?:nachricht|e-mail)",
    fr="début du message (?:transféré|réexpédié)",
    es="inicio del mensaje reenviado",
    it="inizio messaggio inoltrato",
    nl="begin doorgestuurd bericht",
)
FORWARDED_MESSAGE = re.compile(rf"(?:{_DASHES}{_BETWEEN_DASHES}\b|\s*{_BEFORE_A_COLON}\s?:\s*$)", I)
PASSED_ON = re.compile(
    r"\b"
    + _either(
        en=r"fyi|for your information|see (?:the )?(?:mail |message |thread )?below|as discussed",
        de=r"z\.? ?k\.?|zur (?:info|information|kenntnis)|siehe unten",
        fr=r"pour (?:info|information)|voir ci-dessous",
        es=r"para (?:su|tu) (?:información|conocimiento)|ver (?:más )?abajo",
        it="per conoscenza",
        nl="ter info",
    )
    + r"\b",
    I,
)
"""Says no more than "read what is below"."""

# --- how a message begins and ends -----------------------------------------------------------------------------------------------

GREETING = re.compile(
    r"\s*+"
    + _either(
        en="dear|hi|hello|hey|good (?:morning|afternoon|evening|day)|greetings",
        de="guten (?:tag|morgen|abend)|hallo|liebe[rs]?|sehr geehrte[rs]?",
        fr="bonjour|bonsoir|ch(?:er|ère)s?",
        es="hola|buen[oa]s (?:días|tardes|noches)|estimad[oa]s?",
    )
    + r"\b[^.?\n]{0,60}$",
    I,
)
"""A line that greets, as long as it is short."""
_NAME = r"[A-ZÀ-Ý][a-zà-ÿ.'-]*"
SIGN_OFF = re.compile(
    r"\s*+(?i:"
    + _either(
        en=r"(?:with |my |our )?(?:best|kind|kindest|warm|warmest|many|sincere)(?: (?:best|kind|warm|personal))? "
        r"(?:regards|wishes|greetings)|"
        r"regards|rgds|(?:yours|very) (?:sincerely|truly|faithfully)(?: yours)?|sincerely(?: yours)?|respectfully",
        de=r"(?:mit )?(?:vielen |den )?(?:freundlich|best|herzlich|schön|lieb|viel)(?:e[nmr]?) (?:grüßen?|grüssen?|gruß|gruss)"
        r"(?: (?:aus|von) \S+)?|"
        r"mfg|lg|hochachtungsvoll",
        fr=r"(?:bien )?(?:cordialement|sincèrement)(?: vôtre)?|(?:avec mes |sincères |cordiales |meilleures )?salutations(?: distinguées)?|"
        r"bien à (?:vous|toi)|amicalement",
        es=r"(?:reciba )?(?:un )?(?:cordial |atento )?saludos?(?: cordial(?:es)?)?|atentamente",
        it="cordiali saluti|distinti saluti",
        nl="met vriendelijke groet(?:en)?",
        pt="com os melhores cumprimentos|atenciosamente",
        pl="z poważaniem",
        sv="med vänliga? hälsning(?:ar)?",
        da="(?:med )?ven(?:n|)lig hilsen",
    )
    + rf")(?:\s*[,.!]|,?(?:\s+{_NAME}){{1,3}})?\s*$"
)
"""A line of its own that takes leave, with a name or without."""
SHORT_SIGN_OFF = re.compile(
    r"\s*+"
    + _either(
        en="(?:all the )?best|(?:many )?thanks|thank you|thx|cheers|yours|love|take care",
        de="gruß|grüße|danke|vielen dank",
        fr="merci|bises",
        es="(?:muchas )?gracias|un abrazo",
        it="grazie",
    )
    + r"(?: (?:and|und|et|y) (?:(?:best|kind) )?(?:regards|grüße|gruß|saludos))?\s*,?\s*$",
    I,
)
"""Words that are more than a leave-taking: they are one only before a name at the end."""
SENT_FROM = re.compile(
    r"\s*+"
    + _either(
        en=r"sent (?:from|via) (?:my |the )?\S|get outlook for ",
        de=r"von meinem \S+(?: \S+)? gesendet|gesendet (?:von|mit) ",
        fr="envoyé (?:de|depuis) mon ",
        es="enviado desde (?:mi|el) ",
        it="inviato da(?:l mio)? ",
        nl="verzonden vanaf mijn ",
        pt="enviado do meu ",
    )
    + r"[^\n]{0,60}$",
    I,
)
POSTSCRIPT = re.compile(r"\s*+(?:(?:P\.\s?){1,2}S\b\.?|P{1,2}S\b\s?[:.-]?)", I)
CONTACT = re.compile(
    r"(?:\b(?:tel|phone|mobile|mob|cell|fax|telefon|mobil|téléphone|tél|portable|teléfono|móvil|telefono|office|direct|e-?mail)\b"
    r"\.?\s*[:.+(\d]|\S@\S{1,80}\.\w|\+\d[\d ()/.-]{6,})",
    I,
)
"""A line of a signature that says where somebody can be reached."""

DISCLAIMER_OF = re.compile(
    r"\b"
    + _either(
        en="(?:this|the) (?:e-?mail|message|communication|transmission|electronic mail)",
        de="diese[rn]? (?:e-?mail|nachricht|mail)",
        fr="(?:ce|cet|le présent) (?:message|e-?mail|courriel|courrier électronique)",
        es="este (?:mensaje|correo|e-?mail)",
        it="questa (?:e-?mail|comunicazione)|questo messaggio",
        nl="dit (?:bericht|e-?mail)|deze e-?mail",
        pt="esta mensagem",
    )
    + r"\b",
    I,
)
DISCLAIMER_SIGNS = tuple(
    re.compile(rf"\b(?:{words})", I)
    for words in (
        "confidential|privileged|vertraulich|confidentiel|confidencial|riservat|vertrouwelijk",
        "intended (?:only |solely )?for|intended recipient|addressee|bestimmt|empfänger|destinataire|destinat[aá]rio|geadresseerde",
        "delete|destroy|lösch|vernicht|supprim|détrui|eliminar|borr|elimin|verwijder|apag",
        "notify|inform the sender|contact the sender|informieren|benachrichtig|avertir|inform(?:er|ez)|avis|notifi",
        "unauthori[sz]ed|prohibited|strictly|unzulässig|untersagt|unbefugt|interdit|prohibid|vietat|verboden",
        "in error|by mistake|irrtümlich|par erreur|por error|per errore|abusievelijk",
        "virus(?:es)?|malware|liabilit|haftung|responsabilit|responsabilidad|aansprakelijk",
        "before printing|vor dem drucken|avant d['\u2019]imprimer|antes de imprimir",
    )
)
BANNER = re.compile(
    r"\s*+(?:\[?(?:caution|warning|external(?: e-?mail| sender)?|achtung|attention|atención)\]?\s*[:!-]\s*)?"
    + _either(
        en="[#-]* ?please (?:type|write) your reply above this line|"
        "this (?:e-?mail|message) (?:originated|came|was sent) (?:from )?(?:outside|an external)",
        de="diese (?:e-?mail|nachricht) (?:stammt|kommt) von (?:außerhalb|extern)",
        fr="ce (?:message|courriel|mail) provient de l['\u2019]extérieur",
        es="este (?:correo|mensaje) (?:proviene|procede) (?:de fuera|del exterior)",
    ),
    I,
)
MAILING = re.compile(
    r"\s*+"
    + _either(
        en=r"(?:click here )?to unsubscribe\b|unsubscribe(?: here| from this (?:list|newsletter)|\s*[|:]|\s*$)|"
        r"you (?:are receiving|received) this (?:e-?mail|message) because\b|view this (?:e-?mail|message) in (?:your|a) browser\b",
        de=r"(?:newsletter abbestellen|um (?:sich|den newsletter) ab)\b|sie erhalten diese (?:e-?mail|nachricht),? weil\b",
        fr=r"(?:pour )?se désabonner\b|vous recevez (?:cet? (?:e-?mail|message|courriel)) car\b",
        es=r"(?:para )?darse de baja\b|ha recibido este (?:correo|mensaje) porque\b",
    ),
    I,
)
"""A line that a mailing list or a newsletter puts under its letters."""

# --- forms ------------------------------------------------------------------------------------------------------------


def _names(**languages: str) -> frozenset[str]:
    return frozenset(name for names in languages.values() for name in names.split(", "))


FIELD_NAMES = _names(
    en="account, affected version, agent, application, area, assigned to, assignee, asset, browser, build, building, case, case id,"
    " category, channel, city, client, closed, company, component, contact, contract, contract number, country, created, created"
    " at, created by, customer, customer id, customer name, customer number, date, deadline, department, device, due, due date,"
    " email, e-mail, environment, error code, extension, firmware, floor, group, hardware, host, hostname, id, impact, incident,"
    " invoice, ip, ip address, issue, issue type, item, key, labels, language, location, model, name, number, opened, opened by,"
    " operating system, order, order id, order number, order no, organization, os, owner, phone, platform, policy number,"
    " postcode, priority, product, project, queue, received, ref, reference, region, reported by, reporter, requester, request"
    " type, resolution, room, serial, serial number, service, severity, site, sku, sla, sprint, state, status, store, system,"
    " tags, team, telephone, tenant, ticket, ticket id, ticket number, time, tracking number, type, updated, urgency, url, user,"
    " username, user id, version, zip",
    de="abteilung, artikel, auftrag, auftragsnummer, bearbeiter, bestellnummer, betriebssystem, erstellt, fällig, firma, gerät,"
    " kategorie, kunde, kundennummer, meldender, ort, priorität, produkt, rechnungsnummer, standort, telefon, vertragsnummer,"
    " zuständig",
    fr="appareil, catégorie, commande, créé, demandeur, entreprise, nom, numéro de client, numéro de commande, priorité, produit,"
    " société, statut, téléphone, urgence, ville",
    es="asignado, categoría, cliente, creado, dispositivo, empresa, estado, nombre, número de cliente, número de pedido, pedido,"
    " prioridad, producto, teléfono, ubicación, urgencia",
)
"""Fields of tickets and forms whose values are facts to file by, not to read."""
PROSE_FIELDS = _names(
    en="title, subject, summary, description, details, problem, message, comment, comments, note, notes, question, feedback, review,"
    " symptoms, steps, request, reason",
    de="titel, betreff, beschreibung, zusammenfassung, nachricht, kommentar, anmerkung, frage",
    fr="titre, objet, commentaire",
    es="asunto, descripción, mensaje, comentario, comentarios, motivo",
)
"""Fields of a form whose value is what was written."""

# --- turns of speakers ------------------------------------------------------------------------------------------------

ROLES = _names(
    en="agent, customer, client, user, bot, chatbot, assistant, operator, support, advisor, representative, rep, caller, host,"
    " guest, interviewer, interviewee, moderator, doctor, patient, teacher, student, q, a, speaker, person, system, human, ai",
    de="kunde, kundin, berater, beraterin, mitarbeiter, mitarbeiterin",
    fr="conseiller, conseillère, cliente",
    es="asesor, asesora, agente, operador, operadora",
)
NO_SPEAKERS = _names(
    en="note, notes, nb, n.b, ps, p.s, pps, hint, tip, warning, caution, attention, important, example, update, edit, pros, cons,"
    " pro, con, verdict, summary, conclusion, tl;dr, tldr, subject, re, fw, fwd, title, description, todo, fixme, step, total,"
    " rating, location, date, time, price, cost",
    de="hinweis, achtung, beispiel",
    fr="remarque, exemple",
    es="nota, ejemplo",
    und="http, https, ftp, mailto",
)
"""Words that stand before a colon in plain text."""
