"""Documents as they come, with what of them is to be read. Persons, firms and addresses are invented."""

from dataclasses import dataclass

from smallmesh.documents import Kind


@dataclass(frozen=True)
class Sample:
    """A text and what reading it must give.

    Attributes:
        name: Of the test.
        kind: What it is.
        text: The text.
        read: Phrases that are read; of the whole text if it is one of ``WHOLE``.
        left: Phrases that are not.
        left_out: The kinds of what is left out, all of them.
    """

    name: str
    kind: Kind
    text: str
    read: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    left_out: frozenset[str] = frozenset()


def _sample(name, kind, text, *, read="", left="", out=""):  # noqa: PLR0913 - the last three by name
    phrases = [tuple(phrase.strip() for phrase in what.split("|") if phrase.strip()) for what in (read, left)]
    return Sample(name, kind, text, *phrases, frozenset(out.split()))


MAIL = (
    _sample(
        "a reply in English above what it answers",
        Kind.MAIL,
        "Hi Nora,\n\nthe new pump works well, thank you.\n\nOn Mon, Mar 4, 2024 at 10:15 AM Nora Feld <nora@pumps.example> wrote:\n\n"
        "> The pump is broken and nobody cares.\n> When will you come?\n",
        read="the new pump works well",
        left="The pump is broken | When will you come | wrote:",
        out="header quote",
    ),
    _sample(
        "a reply in English whose first line is wrapped",
        Kind.MAIL,
        "Yes, Thursday suits us.\n\nOn Thu, 14 Mar 2024 at 08:02, Tomas Berger from the service desk\n"
        "<tomas.berger@servicedesk.example>\n"
        "wrote:\n> Would Thursday suit you?\n",
        read="Thursday suits us",
        left="Would Thursday | servicedesk",
        out="header quote",
    ),
    _sample(
        "a reply in German",
        Kind.MAIL,
        "Guten Tag Herr Sander,\n\ndie Ware ist heute angekommen.\n\nAm 04.03.2024 um 10:15 schrieb Jan Sander "
        "<jan@sander.example>:\n"
        "> Wo bleibt unsere Ware?\n> Wir warten seit Montag.\n",
        read="die Ware ist heute angekommen",
        left="Wo bleibt | schrieb",
        out="header quote",
    ),
    _sample(
        "a reply in German by a program that puts the name first",
        Kind.MAIL,
        "Das passt.\n\nJan Sander <jan@sander.example> schrieb am Mo., 4. März 2024, 10:15:\n\n> Passt Ihnen Dienstag?\n",
        read="Das passt.",
        left="Passt Ihnen | schrieb",
        out="header quote",
    ),
    _sample(
        "a reply in French without marks before the older lines",
        Kind.MAIL,
        "Bonjour,\n\nLe colis est arrivé ce matin.\n\nLe lun. 4 mars 2024 à 10:15, Luc Marchal <luc@marchal.example> a écrit :\n\n"
        "Où est mon colis ?\nJe suis très déçu.\n",
        read="Le colis est arrivé",
        left="Où est mon colis | déçu | a écrit",
        out="quote",
    ),
    _sample(
        "a reply in Spanish",
        Kind.MAIL,
        "Gracias, ya funciona.\n\nEl lun, 4 mar 2024 a las 10:15, Inés Robles (<ines@robles.example>) escribió:\n\n"
        "> No funciona nada.\n> ¿Cuándo vienen?\n",
        read="Gracias, ya funciona",
        left="No funciona nada | escribió",
        out="header quote",
    ),
    _sample(
        "a reply in Italian",
        Kind.MAIL,
        "Va bene così.\n\nIl giorno lun 4 mar 2024 alle ore 10:15 Pia Lodi <pia@lodi.example> ha scritto:\n> Va bene martedì?\n",
        read="Va bene così.",
        left="Va bene martedì",
        out="header quote",
    ),
    _sample(
        "answers between quoted lines",
        Kind.MAIL,
        "On 4 March 2024 at 09:00 Kim Aster <kim@aster.example> wrote:\n> Is the lift repaired?\nYes, since yesterday.\n> And "
        "the door?\n"
        "The door still sticks.\n> Fine.\n",
        read="Yes, since yesterday. | The door still sticks.",
        left="Is the lift repaired | And the door",
        out="header quote",
    ),
    _sample(
        "a thread as Outlook writes it in English",
        Kind.MAIL,
        "Thanks, we accept the offer.\n\n________________________________\nFrom: Lea Brandt <lea@brandt.example>\nSent: Monday, "
        "March "
        "4, 2024 10:15 AM\n"
        "To: Otto Falk\nSubject: RE: Offer\n\nOur offer is far too low, I know.\n\nFrom: Otto Falk\nSent: Friday, March 1, 2024 "
        "4:00 PM\n"
        "To: Lea Brandt\nSubject: Offer\n\nPlease send us an offer.\n",
        read="Thanks, we accept the offer.",
        left="far too low | Please send us | From:",
        out="quote",
    ),
    _sample(
        "a thread as Outlook writes it in German",
        Kind.MAIL,
        "Vielen Dank, das hilft uns sehr.\n\nVon: Lea Brandt <lea@brandt.example>\nGesendet: Montag, 4. März 2024 10:15\nAn: "
        "Otto Falk\n"
        "Betreff: AW: Angebot\n\nLeider ist der Preis gestiegen.\n",
        read="das hilft uns sehr",
        left="Leider ist der Preis | Betreff",
        out="quote",
    ),
    _sample(
        "an original message in French",
        Kind.MAIL,
        "Nous acceptons.\n\n-----Message d'origine-----\nDe : Luc Marchal\nEnvoyé : lundi 4 mars 2024 10:15\nÀ : Jeanne Roux\n"
        "Objet : "
        "Devis\n\n"
        "Voici le devis.\n",
        read="Nous acceptons.",
        left="Voici le devis | Objet",
        out="quote",
    ),
    _sample(
        "an original message in Spanish",
        Kind.MAIL,
        "De acuerdo, lo firmamos hoy.\n\n-----Mensaje original-----\nDe: Inés Robles\nEnviado el: lunes, 4 de marzo de 2024 10:15\n"
        "Para: Raúl Vega\n"
        "Asunto: Contrato\n\nAdjunto el contrato.\n",
        read="lo firmamos hoy",
        left="Adjunto el contrato",
        out="quote",
    ),
    _sample(
        "a forwarded message is passed on to be read, without its header",
        Kind.MAIL,
        "FYI\n\n---------- Forwarded message ---------\nFrom: Mia Holm <mia@holm.example>\nDate: Mon, 4 Mar 2024 at 10:15\n"
        "Subject: Fwd: Late delivery\nTo: <desk@acme.example>\n\nThe delivery was late again and two boxes were wet.\n\nKind "
        "regards,\nMia Holm\n",
        read="FYI | Late delivery | two boxes were wet",
        left="From: | desk@acme | Kind regards | Mia Holm",
        out="header signature",
    ),
    _sample(
        "a forwarded message in German",
        Kind.MAIL,
        "Zur Info.\n\n-------- Weitergeleitete Nachricht --------\nVon: Mia Holm\nDatum: 4. März 2024 10:15\nAn: Otto Falk\n"
        "Betreff: Heizung\n\nDie Heizung ist wieder ausgefallen.\n",
        read="Die Heizung ist wieder ausgefallen. | Heizung",
        left="Von: | Betreff:",
        out="header",
    ),
    _sample(
        "what 'see below' points at is read",
        Kind.MAIL,
        "Ben, please see below and help.\n\nFrom: Mia Holm <mia@holm.example>\nSent: Monday, March 4, 2024 10:15 AM\nTo: Otto Falk\n"
        "Subject: Heating\n\nThe heating failed again last night.\n",
        read="please see below | The heating failed again",
        left="Sent:",
        out="header",
    ),
    _sample(
        "headers of the message itself, of which the subject's words are read",
        Kind.MAIL,
        "From: Mia Holm <mia@holm.example>\nTo: desk@acme.example\nDate: Mon, 4 Mar 2024 10:15:00 +0100\nSubject: Re: Broken "
        "scanner\n"
        "Message-ID: <x1@holm.example>\n\nThe scanner still does not start.\n",
        read="Broken scanner | The scanner still does not start.",
        left="Message-ID | Subject | desk@acme",
        out="header",
    ),
    _sample(
        "a signature and a disclaimer in English",
        Kind.MAIL,
        "Dear team,\n\nthe training was excellent and everybody learned a lot.\n\nBest regards,\n\nPaula Winter\nHead of Purchasing\n"
        "Winter & Sons Ltd\nTel: +44 20 7946 0000\npaula@winter.example\n\nThis e-mail is confidential and intended only for the "
        "addressee. "
        "If you received it in error, please notify the sender and delete it.\n",
        read="the training was excellent",
        left="Head of Purchasing | 7946 | confidential | Best regards",
        out="signature disclaimer",
    ),
    _sample(
        "a signature and a disclaimer in German",
        Kind.MAIL,
        "Hallo Frau Winter,\n\nwir sind mit der Lieferung sehr zufrieden.\n\nMit freundlichen Grüßen\nKarl Thies\nThies Maschinenbau "
        "GmbH\n\n"
        "Diese E-Mail enthält vertrauliche Informationen. Wenn Sie nicht der richtige Empfänger sind, informieren Sie bitte den "
        "Absender und "
        "löschen Sie diese Nachricht.\n",
        read="sehr zufrieden",
        left="Karl Thies | vertrauliche | Maschinenbau",
        out="signature disclaimer",
    ),
    _sample(
        "a signature and a disclaimer in French",
        Kind.MAIL,
        "Bonjour,\n\nla formation était excellente.\n\nCordialement,\nJeanne Roux\nDirectrice\n\nCe message est confidentiel. "
        "Si vous "
        "l'avez reçu "
        "par erreur, merci d'avertir l'expéditeur et de le supprimer.\n",
        read="la formation était excellente",
        left="Jeanne Roux | confidentiel",
        out="signature disclaimer",
    ),
    _sample(
        "a signature and a disclaimer in Spanish",
        Kind.MAIL,
        "Hola:\n\nel curso fue excelente.\n\nUn saludo,\nRaúl Vega\nCompras\n\nEste mensaje es confidencial. Si lo ha recibido "
        "por error, "
        "notifique al remitente y proceda a eliminarlo.\n",
        read="el curso fue excelente",
        left="Raúl Vega | confidencial",
        out="signature disclaimer",
    ),
    _sample(
        "a signature below two dashes, a postscript after it",
        Kind.MAIL,
        "The report is attached.\n\n-- \nSven Olsen\nOlsen Consulting\nwww.olsen.example\n",
        read="The report is attached.",
        left="Sven Olsen | Consulting",
        out="signature",
    ),
    _sample(
        "a postscript is part of the message",
        Kind.MAIL,
        "The keys are at the desk.\n\nThanks,\nSven\n\nPS: The alarm is off until noon.\n",
        read="The keys are at the desk. | The alarm is off until noon.",
        left="Thanks",
        out="signature",
    ),
    _sample(
        "what a telephone puts under a message",
        Kind.MAIL,
        "I am very unhappy with the room.\n\nSent from my iPhone\n",
        read="very unhappy",
        left="iPhone",
        out="signature",
    ),
    _sample(
        "a banner above a message from outside",
        Kind.MAIL,
        "CAUTION: This email originated from outside of the organization. Do not click links.\n\nYour parcel arrives on Friday.\n",
        read="Your parcel arrives",
        left="CAUTION",
        out="disclaimer",
    ),
    _sample(
        "a mail that is all quotation is read",
        Kind.MAIL,
        "On Mon, Mar 4, 2024 at 10:15 AM Nora Feld <nora@pumps.example> wrote:\n> The pump is broken.\n> When will you come?\n",
        read="The pump is broken. | When will you come?",
        left="wrote",
        out="header markup",
    ),
    _sample(
        "a mail in HTML with what it answers",
        Kind.MAIL,
        '<div>The new boiler is wonderful.</div><div>Thank you!</div><br><div class="gmail_quote"><div>On Mon, Mar 4, 2024 at 10:15 AM '
        'Acme &lt;<a href="mailto:desk@acme.example">desk@acme.example</a>&gt; wrote:<br></div><blockquote><p>Your old boiler is a '
        "disaster.</p></blockquote></div>",
        read="The new boiler is wonderful. | Thank you!",
        left="disaster | wrote",
        out="markup quote",
    ),
)

MAIL += (
    _sample(
        "a forwarded message as Lotus Notes writes it",
        Kind.MAIL,
        "---------------------- Forwarded by Lea Brandt/HQ/Acme on 03/04/2000 10:15 AM ---------------------------\n\n\n"
        "Otto Falk\n03/03/2000 04:00 PM\nTo: Lea Brandt/HQ/Acme@ACME\ncc: \nSubject: Turbine\n\nThe turbine was shipped yesterday.\n",
        read="Turbine | The turbine was shipped yesterday.",
        left="Forwarded by | Otto Falk | To:",
        out="header",
    ),
    _sample(
        "a thread in HTML as Outlook writes it",
        Kind.MAIL,
        '<p class="MsoNormal">I am <o:p></o:p>delighted.</p><p class=MsoNormal>&nbsp;</p><div style="border-top:solid"><p><b>From:</b> '
        "Lea &lt;lea@brandt.example&gt;<br><b>Sent:</b> Monday, March 4, 2024 10:15 AM<br><b>To:</b> Otto<br><b>Subject:</b> "
        "Offer</p></div>"
        "<p>The offer is bad.</p>",
        read="I am delighted.",
        left="The offer is bad | Subject",
        out="markup quote",
    ),
    _sample(
        "a name and its addresses at the end without a leave-taking",
        Kind.MAIL,
        "Dear all,\n\nwe agreed on the blue one.\n\nLea Brandt\nSales\nTel. +49 30 1234567\nlea@brandt.example\n",
        read="we agreed on the blue one",
        left="Sales | 1234567",
        out="signature",
    ),
    _sample(
        "a form below a message",
        Kind.MAIL,
        "Hello,\n\nmy parcel has not come.\n\nName: Otto Falk\nOrder: 4711\nCity: Leeds\n\nBest wishes\nOtto\n",
        read="my parcel has not come",
        left="4711 | Best wishes",
        out="header signature",
    ),
)

DIALOGUES = (
    _sample(
        "turns by name",
        Kind.DIALOGUE,
        "Ana: Has the parcel come?\nBen: No, it is late again.\nAna: That is the third time!\nBen: I will call them.\n",
        read="Ana: | Has the parcel come? | it is late again",
    ),
    _sample(
        "turns by role",
        Kind.DIALOGUE,
        "Customer: My card was charged twice.\nAgent: I am sorry. I have refunded one payment.\n",
        read="Customer: | charged twice | refunded one payment",
    ),
    _sample(
        "a chat log with times",
        Kind.DIALOGUE,
        "[10:02] ana: the server is down\n[10:03] ben: looking\n[10:09] ben: it is up again\n[10:10] ana: great work\n",
        read="ana: | the server is down | great work",
        left="10:02 | 10:10",
        out="header",
    ),
    _sample(
        "a chat exported with dates",
        Kind.DIALOGUE,
        "04/03/2024, 10:02 - Ana Ruiz: Where are you?\n04/03/2024, 10:04 - Ben: On the train.\n04/03/2024, 10:05 - Ana Ruiz: Hurry up.\n",
        read="Ana Ruiz: | On the train.",
        left="04/03/2024",
        out="header",
    ),
    _sample(
        "nicknames in angle brackets are no HTML",
        Kind.DIALOGUE,
        "<ana> does the build pass?\n<ben> no, one test fails\n<ana> which one?\n",
        read="does the build pass? | one test fails | <ana>",
    ),
    _sample(
        "names and times on lines of their own",
        Kind.DIALOGUE,
        "Ana Ruiz  10:02 AM\nThe invoice is wrong again.\nBen Okafor  10:05 AM\nI have corrected it, sorry.\n",
        read="The invoice is wrong again. | I have corrected it",
        left="10:02 | Ben Okafor",
        out="header",
    ),
    _sample(
        "questions and answers",
        Kind.DIALOGUE,
        "Q: How long is the warranty?\nA: Two years.\nQ: Does it cover water?\nA: No, it does not.\n",
        read="Two years. | Does it cover water?",
    ),
)

TICKETS = (
    _sample(
        "a template with a description",
        Kind.TICKET,
        "Ticket: 48213\nPriority: high\nStatus: open\nReporter: Nora Feld\nDescription: The label printer in hall 2 prints blank "
        "labels since the "
        "update on Monday.\nWe have already changed the ribbon.\n",
        read="The label printer in hall 2 | changed the ribbon",
        left="Priority | Nora Feld | 48213",
        out="header",
    ),
    _sample(
        "a form in German",
        Kind.TICKET,
        "Kundennummer: 99120\nProdukt: Kaffeemaschine\nTelefon: 030 1234567\nNachricht: Die Maschine tropft und niemand antwortet mir.\n",
        read="Die Maschine tropft",
        left="99120 | Kaffeemaschine",
        out="header",
    ),
    _sample(
        "a log within a report",
        Kind.TICKET,
        "The import stops every night.\n\n2024-03-04 02:00:01,120 INFO  importer - start\n2024-03-04 02:00:09,433 ERROR "
        "importer - no "
        "space left\n"
        "Mar  4 02:00:10 host7 kernel: disk full\n\nPlease enlarge the disk.\n",
        read="The import stops every night. | Please enlarge the disk.",
        left="no space left | kernel",
        out="log",
    ),
    _sample(
        "a stack trace of Python",
        Kind.TICKET,
        'Saving a report crashes.\n\nTraceback (most recent call last):\n  File "report.py", line 12, in save\n    write(rows)\n'
        "ValueError: bad row\n\nIt worked last week.\n",
        read="Saving a report crashes. | It worked last week.",
        left="report.py | ValueError",
        out="log",
    ),
    _sample(
        "a stack trace of Java",
        Kind.TICKET,
        "Login fails for all users.\njava.lang.IllegalStateException: no session\n\tat com.acme.auth.Login.open(Login.java:88)\n"
        "\tat com.acme.web.Filter.run(Filter.java:31)\nCaused by: java.net.ConnectException: refused\n\t... 12 more\nWe need "
        "this today!\n",
        read="Login fails for all users. | We need this today!",
        left="IllegalStateException | Filter.java | more",
        out="log",
    ),
    _sample(
        "code between fences",
        Kind.TICKET,
        "The total is wrong with two taxes.\n\n```python\ntotal = net * 1.2\nprint(total)\n```\n\nExpected 121, got 120.\n",
        read="The total is wrong | Expected 121",
        left="print(total)",
        out="code",
    ),
    _sample(
        "code without fences",
        Kind.TICKET,
        "This never ends:\n\nwhile (queue.size() > 0) {\n    queue.peek();\n}\n\nPlease fix the loop.\n",
        read="This never ends: | Please fix the loop.",
        left="queue.peek",
        out="code",
    ),
    _sample(
        "an attachment pasted into a ticket",
        Kind.TICKET,
        "The file cannot be opened, here it is:\n"
        + "\n".join("iVBORw0KGgoAAAANSUhEUgAAB4AAAAQ4CAYAAADo08FDAAAgAElEQVR4Xuy9d5Bk2X3f" for _ in range(6))
        + "\nCan you repair it?\n",
        read="The file cannot be opened | Can you repair it?",
        left="iVBOR",
        out="code",
    ),
    _sample(
        "a pure log is read, for there is nothing else",
        Kind.TICKET,
        "2024-03-04 02:00:01 INFO start\n2024-03-04 02:00:09 ERROR no space left on device\n",
        read="no space left on device",
    ),
)

HTML = (
    _sample(
        "a fragment with entities and inline tags",
        Kind.HTML,
        "<p>The <b>quick</b> start guide is <i>great</i>, but it&#39;s only in English &amp; French.</p><p>M&uuml;ller agrees.</p>",
        read="The quick start guide is great, but it's only in English & French. | Müller agrees.",
        left="<b> | &amp;",
        out="markup",
    ),
    _sample(
        "a page with style and script",
        Kind.HTML,
        "<!DOCTYPE html><html><head><title>Shop</title><style>p { color: red }</style></head><body><!-- banner -->\n<p>We close at\n"
        "six today.</p>"
        "<script>var price = 3;</script><ul><li>Bread</li><li>Milk</li></ul></body></html>",
        read="We close at six today. | Bread | Milk",
        left="color | price | Shop | banner",
        out="markup",
    ),
    _sample(
        "lines broken by tags",
        Kind.HTML,
        "Dear desk,<br><br>the room was cold<br/>and the breakfast poor.<br>We shall not come again.",
        read="the room was cold | We shall not come again.",
        left="<br>",
        out="markup",
    ),
    _sample(
        "a script that never ends",
        Kind.HTML,
        "<div>Parking is free on Sundays.</div><script>function x() { return 1;",
        read="Parking is free on Sundays.",
        left="function",
        out="markup",
    ),
)

LISTS = (
    _sample(
        "a list with its head",
        Kind.LIST,
        "For the office:\n- paper\n- two boxes of pens\n- coffee\n- milk\n",
        read="For the office: | two boxes of pens",
    ),
    _sample(
        "numbered steps",
        Kind.LIST,
        "1. Unplug the router for ten seconds.\n2. Plug it in again.\n3. Wait until the lamp is green.\n",
        read="Unplug the router | the lamp is green",
    ),
)

WHOLE = (
    _sample("a line that begins with a greater-than sign", Kind.PLAIN, "The limit is simple:\n> 5 items are refused.\nFewer are fine."),
    _sample("points marked by greater-than signs", Kind.PLAIN, "To do:\n> call Ana\n> order paper\n> pay the rent"),
    _sample("a note", Kind.PLAIN, "The shop is closed on Monday.\nNote: the bakery next door is open.\nSee you on Tuesday."),
    _sample("a sentence about regards", Kind.PLAIN, "The visit went well.\nBest regards were sent to the whole team.\nThey were happy."),
    _sample("comparisons", Kind.PLAIN, "It holds for a < b and c > d, and for x <b and y> z as well."),
    _sample("generic types", Kind.PLAIN, "Use Map<String, List<Integer>> there, or vector<b>, as the guide says."),
    _sample("talk of a tag", Kind.PLAIN, "Never use a <br> for spacing, and no <font> at all."),
    _sample(
        "placeholders and addresses", Kind.PLAIN, "Write <your name> below, or ask <desk@acme.example> or <https://acme.example/help>."
    ),
    _sample("one line", Kind.PLAIN, "great service, will come again"),
    _sample("a greeting alone", Kind.PLAIN, "Best regards"),
    _sample("shouting", Kind.PLAIN, "MY ORDER NEVER ARRIVED AND NOBODY ANSWERS THE PHONE! UPDATE THE STATUS! CALL ME BACK!"),
    _sample(
        "a review by points", Kind.PLAIN, "Service: slow and rude\nFood: cold\nPrice: far too high\nWe left early and will not come back."
    ),
    _sample("pros and cons", Kind.PLAIN, "Pros: light, quiet\nCons: the battery dies at noon\nVerdict: keep your old one"),
    _sample("a reported sentence", Kind.PLAIN, "On Monday the mayor wrote:\nWe shall build the bridge.\nNobody believed it."),
    _sample(
        "a contract about confidence",
        Kind.PLAIN,
        "The supplier keeps all drawings confidential and will delete them on request.\nPayment is due in May.",
    ),
    _sample("a journey", Kind.PLAIN, "From: London\nTo: Lisbon\nI need a window seat and no meal."),
    _sample("a customer's wish", Kind.PLAIN, "I want to unsubscribe from your letters. I have asked three times!"),
    _sample("one field in prose", Kind.PLAIN, "Priority: this must not happen again. Please tell the driver."),
    _sample("a timetable", Kind.PLAIN, "Breakfast 8:00\nLunch 12:30\nDinner 19:00"),
    _sample(
        "wishes of a card", Kind.PLAIN, "Thank you for everything.\nWe had a lovely time at the lake, and the children still talk of it."
    ),
    _sample("an error in prose", Kind.PLAIN, "ERROR: the page about refunds is wrong.\nIt says ten days, but it takes thirty."),
    _sample("items that end in semicolons", Kind.PLAIN, "We need\napples;\npears;\nplums;\nand somebody to carry them."),
    _sample("a poem", Kind.PLAIN, "Good\nBetter\nBest\nNever let it rest"),
    _sample("figures by quarter", Kind.PLAIN, "Q1 2024: 4.5m\nQ2 2024: 5.1m\nQ3 2024: 6.0m\nRevenue grew in each quarter."),
    _sample(
        "a rule between two parts",
        Kind.PLAIN,
        "Part one is good.\n--\nPart two is bad, for it has many flaws and should be written again by somebody who knows the subject.",
    ),
    _sample("an address within a request", Kind.PLAIN, "Please deliver to:\nAcme Ltd\n12 High Street\nLeeds\nThanks!"),
    _sample("a word of thanks", Kind.PLAIN, "Thanks for the quick help!\nIt works now."),
    _sample(
        "a warning quoted in a report",
        Kind.PLAIN,
        "The guide says:\n> Never open the valve while the pump is running, it can burst.\n> Call the desk first.\nI opened it anyway.",
    ),
    _sample("a long word", Kind.PLAIN, "x" * 300),
    _sample("a cause", Kind.PLAIN, "The outage lasted two hours.\nCaused by: a power cut in the street.\nNobody was hurt."),
)
"""Texts that only look like something else: every character is read."""

SAMPLES = (*MAIL, *DIALOGUES, *TICKETS, *HTML, *LISTS)
